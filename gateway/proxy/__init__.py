"""I/O with the applications behind the gateway: pools, exchanges, tunnels.

This is the only home of the upstream client. `Upstream.send` is one request and
its answer, `Upstream.open_tunnel` one WebSocket.
"""
