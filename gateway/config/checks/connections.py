"""Checks of the connections to Redis and upstreams."""

from gateway.config.document import Loc
from gateway.config.partial import PartialConfig
from gateway.sessions.redis.url import parse_redis_url


def check_redis(partial: PartialConfig) -> None:
    """Check that user name and password are given once."""
    redis = partial.config.redis
    address = redis.address
    for key in ("username", "password"):
        if getattr(redis, key) is None:
            continue
        if address is None:
            partial.add_problem_at_key(
                ("redis", key), f"{key} has no effect with url: embedded"
            )
        elif getattr(parse_redis_url(redis.url.get_secret_value()), key) is not None:
            partial.add_problem_at_key(
                ("redis", key), f"redis.url already contains a {key}"
            )


def check_upstream_tls(partial: PartialConfig) -> None:
    """Check that TLS settings of upstreams have an effect and are complete."""
    for name, upstream in partial.config.upstreams.items():
        if (tls := upstream.tls) is None:
            continue
        loc: Loc = ("upstreams", name, "tls")
        if not any(url.startswith("https:") for url in upstream.url):
            partial.add_problem_at_key(loc, "tls requires an https:// url")
        if (tls.certificate is None) != (tls.key is None):
            partial.add_problem_at_key(loc, "certificate and key must both be set")
