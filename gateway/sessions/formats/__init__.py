"""Session formats of other libraries: one profile each, one engine for all."""
