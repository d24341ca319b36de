"""What the gateway tells about itself: access log, audit events, own log, metrics.

| noun | what it is |
| --- | --- |
| `Sink` | buffered lines to a file descriptor; never blocks, never raises |
| `LogOutput` | a sink and the form of its lines, made by `logs.configure` |
| `AccessRecord`, `AccessLog` | one line per request |
| `Audit` | one line per event that someone may have to account for |
| `Metrics` | counters and histograms, for Prometheus |
"""
