"""Build the DNS settings of a configuration."""

from gateway.config.schema import Config
from gateway.net.resolver import DnsSettings


def build_dns(config: Config) -> DnsSettings:
    """Compile how host names are looked up."""
    dns = config.dns
    return DnsSettings(
        servers=dns.servers,
        timeout=dns.timeout,
        max_ttl=dns.max_ttl,
        stale=dns.stale,
    )
