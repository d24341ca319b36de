"""The session store of a configuration, opened for one command."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

import click

from gateway.build.dns import build_dns
from gateway.build.providers import accepted_issuers
from gateway.build.session_format import format_from, remembered
from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.errors import ConfigError, StoreUnavailable
from gateway.net.resolver import Resolver
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.profile import Profile
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import RedisAddress, parse_redis_url

# No request waits for an operator: slow is better than an error.
PATIENCE: Final = 5.0

_T = TypeVar("_T")


def profile_or_exit(loaded: LoadedConfig) -> Profile | None:
    """Return the profile of app-managed sessions; None if the gateway manages them."""
    try:
        return format_from(loaded)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def run_with_store(
    loaded: LoadedConfig,
    redis_url: str | None,
    work: Callable[[RedisStore], Awaitable[_T]],
) -> _T:
    """Run `work` with the store of gateway-managed sessions.

    Raises:
        click.ClickException: Redis is unavailable, or an app manages the sessions.
    """
    config = loaded.config
    if config.sessions.external:
        raise click.ClickException(
            f"not available with sessions.format {config.sessions.format}: the app"
            " manages its sessions; use show, revoke or revoke-all"
        )
    address = redis_address(config, redis_url)
    store = RedisStore(
        address,
        timeout=_patience(config),
        max_per_identity=config.sessions.max_per_identity,
    )
    store.takes_provider_tokens = lambda: bool(accepted_issuers(config))
    return _run(address, store, lambda: work(store))


def run_with_tokens(
    loaded: LoadedConfig,
    redis_url: str | None,
    work: Callable[[RedisStore], Awaitable[_T]],
) -> _T:
    """Run `work` with the store of access tokens.

    Raises:
        click.ClickException: Redis is unavailable.
    """
    config = loaded.config
    address = redis_address(config, redis_url)
    store = RedisStore(address, timeout=_patience(config))
    return _run(address, store, lambda: work(store))


def run_with_external_store(
    loaded: LoadedConfig,
    profile: Profile,
    redis_url: str | None,
    work: Callable[[ExternalStore], Awaitable[_T]],
) -> _T:
    """Run `work` with the store of app-managed sessions.

    Raises:
        click.ClickException: Redis is unavailable.
    """
    config = loaded.config
    address = redis_address(config, redis_url)
    remember = remembered(config, profile)
    store = ExternalStore(address, timeout=_patience(config), remember=remember)
    return _run(address, store, lambda: work(store))


def unknown() -> click.ClickException:
    """Return the error for an unknown session."""
    return click.ClickException("no such session, or it has ended")


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
        message = f"Redis at {address} is unavailable: {error}"
        raise click.ClickException(message) from error


def redis_address(config: Config, redis_url: str | None) -> RedisAddress:
    """Return the address of Redis; `redis_url` replaces redis.url.

    Raises:
        ClickException: the URL is invalid, or redis.url is embedded.
    """
    try:
        found = parse_redis_url(redis_url) if redis_url else config.redis.address
    except ValueError as error:
        raise click.ClickException(f"invalid Redis URL: {error}") from error
    if found is None:
        message = (
            "redis.url is embedded; add --redis with the address that `gateway run`"
            " printed"
        )
        raise click.ClickException(message)
    return replace(found, resolver=Resolver(build_dns(config), in_turn=False))
