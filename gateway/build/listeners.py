"""Build the listen addresses and the limits of client connections."""

from gateway.config.schema import Config
from gateway.server.listener import ListenerLimits


def addresses_of(config: Config) -> tuple[str, ...]:
    """Return every address that a process listens on."""
    admin = config.server.admin
    return config.server.listen if admin is None else (*config.server.listen, admin)


def listener_limits(config: Config) -> ListenerLimits:
    """Return the limits and timeouts of client connections."""
    return ListenerLimits(
        header_bytes=config.server.limits.header_bytes,
        connections=config.server.limits.connections,
        share=config.server.limits.address_percent / 100,
        request_headers=config.server.timeouts.request_headers,
        keepalive=config.server.timeouts.keepalive,
    )
