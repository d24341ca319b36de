"""Sessions that other libraries write: one profile each, one engine for all."""
