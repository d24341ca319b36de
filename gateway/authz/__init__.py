"""Decisions for another proxy: which request it asks about, and what it is sent. Pure.

| module | holds |
| --- | --- |
| `families` | the three families of headers that describe a request -> RequestHead |
| `replies` | the outcome of the spine -> the response that the front proxy understands |

The decision itself is that of `gateway.spine`; the listener is in `gateway.server.authz`.
"""
