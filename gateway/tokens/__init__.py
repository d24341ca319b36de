"""Signed, short-lived upstream tokens."""
