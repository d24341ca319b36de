"""Servers that run as children of the gateway: `redis.url: embedded`, the demo."""
