"""Sessions in Redis or Valkey: the store, and clients for every topology."""
