"""Writes access lines, audit events and the log, and updates the metrics."""
