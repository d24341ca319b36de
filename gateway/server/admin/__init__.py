"""The admin listener: health, metrics and the session API; never public."""
