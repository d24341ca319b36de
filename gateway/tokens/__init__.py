"""Tokens: what an upstream may believe about the caller, signed and short-lived."""
