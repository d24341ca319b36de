"""The replies that the gateway writes itself, for browsers and for programs.

| noun | what it is |
| --- | --- |
| `Reply` | status, headers and a whole body |
| `Description` | one refusal in words, from which both forms are made |
| `Pages` | turns a status and a `Reason` into a `Reply` |
"""
