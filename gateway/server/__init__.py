"""The I/O shell: listeners, the request pipeline and the gateway's own endpoints."""
