"""Observability: access log, audit events, gateway log and metrics.

| noun | what it is |
| --- | --- |
| `Sink` | writes buffered lines to a file descriptor; never blocks, never raises |
| `LogOutput` | a sink and the format of its lines, made by `logs.configure` |
| `AccessLog` | one line per request, from an `EndedRequest` |
| `Audit` | one line per security event |
| `Metrics` | counters and histograms, for Prometheus |
"""
