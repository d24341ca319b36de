"""Sessions: the cookie that names one, the record that says whose, the store."""
