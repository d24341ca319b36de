"""Sessions in Redis or Valkey: the store, and the one way to every topology."""
