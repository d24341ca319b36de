"""The npm package in clients/js."""
