"""The listener `server.authz`: decisions for another proxy.

A front proxy asks about each request, and forwards it itself if the response is a 200.
`decisions` performs what `gateway.authz` and `gateway.spine` decide.
"""
