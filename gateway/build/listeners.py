"""Build the listen addresses and the limits of client connections."""

from gateway.config.schema import Config
from gateway.server.listener import ListenerLimits


def addresses_of(config: Config) -> tuple[str, ...]:
    """Return every address that a process listens on."""
    server = config.server
    others = (server.admin, server.authz)
    return (*server.listen, *(each for each in others if each is not None))


def listener_limits(config: Config) -> ListenerLimits:
    """Return the limits and timeouts of client connections."""
    return ListenerLimits(
        header_bytes=config.server.limits.header_bytes,
        connections=config.server.limits.connections,
        share=config.server.limits.address_percent / 100,
        request_headers=config.server.timeouts.request_headers,
        keepalive=config.server.timeouts.keepalive,
    )
