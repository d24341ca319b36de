"""App-managed sessions in Redis: looked up and revoked, never written."""
