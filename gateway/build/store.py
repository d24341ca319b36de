"""Build the session store of a configuration."""

from collections.abc import Callable
from dataclasses import replace

from gateway.build.session_format import format_from, remembered
from gateway.config.load import LoadedConfig
from gateway.net.resolver import Resolver
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.redis.events import OnEvent
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import RedisAddress, parse_redis_url


def build_store(
    loaded: LoadedConfig,
    *,
    redis_url: str | None,
    resolver: Resolver,
    on_corrupt: Callable[[str, str], None],
    on_event: OnEvent,
) -> RedisStore | ExternalStore:
    """Return the store, which connects when it is first used.

    Args:
        loaded: the configuration.
        redis_url: replaces `redis.url` where that is `embedded`.
        resolver: looks up the names of Redis servers.
        on_corrupt: called for each session that cannot be read.
        on_event: called when the server changes.

    Raises:
        ConfigError: the session format cannot be compiled.
    """
    config, address = loaded.config, _address(loaded, redis_url, resolver)
    external = format_from(loaded)
    if external is not None:
        return ExternalStore(
            address,
            timeout=config.redis.timeout,
            remember=remembered(config, external),
            on_corrupt=on_corrupt,
            on_event=on_event,
        )
    return RedisStore(
        address,
        timeout=config.redis.timeout,
        max_per_identity=config.sessions.max_per_identity,
        on_corrupt=on_corrupt,
        on_event=on_event,
    )


def build_token_store(
    loaded: LoadedConfig,
    *,
    redis_url: str | None,
    resolver: Resolver,
    on_corrupt: Callable[[str, str], None],
    on_event: OnEvent,
) -> RedisStore:
    """Return the store of access tokens, where an app manages the sessions; as above."""
    return RedisStore(
        _address(loaded, redis_url, resolver),
        timeout=loaded.config.redis.timeout,
        on_corrupt=on_corrupt,
        on_event=on_event,
    )


def _address(
    loaded: LoadedConfig, redis_url: str | None, resolver: Resolver
) -> RedisAddress:
    found = parse_redis_url(redis_url) if redis_url else loaded.config.redis.address
    assert found is not None  # noqa: S101 - None only for `embedded`, with a redis_url
    return replace(found, resolver=resolver)
