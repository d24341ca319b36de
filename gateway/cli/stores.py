"""The session store of a configuration, opened for one command."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

import click

from gateway.build.dns import build_dns
from gateway.build.session_format import format_from, remembered
from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.errors import ConfigError, StoreUnavailable
from gateway.net.resolver import Resolver
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.profile import Profile
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import RedisAddress, parse_redis_url

# Nobody waits behind an operator: slow is better than refused.
PATIENCE: Final = 5.0

_T = TypeVar("_T")


def profile_or_exit(loaded: LoadedConfig) -> Profile | None:
    """Compile the format of an app's sessions; None for the gateway's own."""
    try:
        return format_from(loaded)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def run_with_store(
    loaded: LoadedConfig,
    redis_url: str | None,
    work: Callable[[RedisStore], Awaitable[_T]],
) -> _T:
    """Run `work` with the gateway's own sessions.

    Raises:
        click.ClickException: Redis cannot be asked; or an app keeps the sessions.
    """
    config = loaded.config
    if config.sessions.external:
        raise click.ClickException(
            f"sessions.format is {config.sessions.format}: the app makes these sessions"
            " and keeps no list of them; show, revoke and revoke-all work"
        )
    address = _address(config, redis_url)
    store = RedisStore(
        address,
        timeout=_patience(config),
        max_per_identity=config.sessions.max_per_identity,
    )
    return _run(address, store, lambda: work(store))


def run_with_app_s(
    loaded: LoadedConfig,
    profile: Profile,
    redis_url: str | None,
    work: Callable[[ExternalStore], Awaitable[_T]],
) -> _T:
    """Run `work` with the sessions that an app keeps.

    Raises:
        click.ClickException: Redis cannot be asked.
    """
    config = loaded.config
    address = _address(config, redis_url)
    remember = remembered(config, profile)
    store = ExternalStore(address, timeout=_patience(config), remember=remember)
    return _run(address, store, lambda: work(store))


def unknown() -> click.ClickException:
    """Make the refusal of what is not there."""
    return click.ClickException("there is no such session, or it has ended")


def _patience(config: Config) -> float:
    return max(PATIENCE, config.redis.timeout)


def _run(
    address: RedisAddress,
    store: RedisStore | ExternalStore,
    work: Callable[[], Awaitable[_T]],
) -> _T:
    async def with_store() -> _T:
        try:
            return await work()
        finally:
            await store.close()

    try:
        return asyncio.run(with_store())
    except StoreUnavailable as error:
        message = f"Redis does not answer at {address}: {error}"
        raise click.ClickException(message) from error


def _address(config: Config, redis_url: str | None) -> RedisAddress:
    try:
        found = parse_redis_url(redis_url) if redis_url else config.redis.address
    except ValueError as error:
        raise click.ClickException(f"the Redis URL: {error}") from error
    if found is None:
        message = (
            "redis.url is embedded, which only the gateway that started it knows;"
            " give its address with --redis (`gateway run` prints it)"
        )
        raise click.ClickException(message)
    return replace(found, resolver=Resolver(build_dns(config), in_turn=False))
