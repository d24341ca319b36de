"""The upstream client: connection pools, exchanges and WebSocket tunnels.

`Upstream.send` sends one request and returns its response; `Upstream.open_tunnel`
opens one WebSocket.
"""
