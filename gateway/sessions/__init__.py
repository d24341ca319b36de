"""Sessions: cookie, record and store."""
