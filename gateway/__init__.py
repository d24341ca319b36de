"""A reverse-proxy authentication gateway: sessions checked on every request."""
