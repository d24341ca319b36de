"""The way of one request, and what the gateway answers itself."""
