"""Apps that are too large for `make test`."""
