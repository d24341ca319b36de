"""Names to addresses, and addresses to sockets."""
