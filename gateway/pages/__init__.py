"""The gateway's own responses, for browsers and API clients.

| noun | what it is |
| --- | --- |
| `Reply` | status, headers and a complete body |
| `Description` | the texts of one error, for both formats |
| `Pages` | turns a status and a `Reason` into a `Reply` |
"""
