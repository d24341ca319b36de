"""Sessions that an app keeps, for `gateway sessions`: shown, and ended.

They are named by the id that the app knows them by, or by their public id, the hash
of it, which stands in logs and identity headers.
"""

import time

import click

from gateway.cli.stores import run_with_app_s, unknown
from gateway.config.load import LoadedConfig
from gateway.sessions.external.store import ExternalStore, is_key
from gateway.sessions.formats.credential import credential_of_id
from gateway.sessions.formats.profile import Profile
from gateway.sessions.record import AnonymousSession, Corrupt, Session
from gateway.sessions.store import Found


def look_up(
    loaded: LoadedConfig, profile: Profile, redis_url: str | None, named: str
) -> Session:
    """Give a session as a request with its cookie would meet it.

    Raises:
        click.ClickException: there is none, it cannot be read, or it is nobody's.
    """

    async def ask(store: ExternalStore) -> Found:
        credential = await store.search(profile, named)
        if credential is None:
            return None
        return await store.look_up(credential, time.time())

    match run_with_app_s(loaded, profile, redis_url, ask):
        case Session() as session:
            return session
        case Corrupt(why=why):
            raise click.ClickException(f"the session cannot be read: {why}")
        case AnonymousSession():
            raise click.ClickException("nobody is signed in to this session")
        case None:
            raise unknown()


def revoke(
    loaded: LoadedConfig, profile: Profile, redis_url: str | None, named: str
) -> str:
    """End a session; gives its public id.

    Whether its record is there now says little: the app may write it anew. A name that
    could be either id ends both, of which one is no session at all.
    """
    keys = _keys_of(profile, named)

    async def end(store: ExternalStore) -> str:
        meant = await _meant(store, profile, named, keys)
        for key in keys:
            await store.end(key, time.time())
        return meant

    return run_with_app_s(loaded, profile, redis_url, end)


def revoke_all(
    loaded: LoadedConfig,
    profile: Profile,
    redis_url: str | None,
    identity: str,
    but: str | None,
) -> None:
    """End every session of an identity that began before now, but one."""
    keys = () if but is None else _keys_of(profile, but)

    async def end(store: ExternalStore) -> int:
        spared = but and await _meant(store, profile, but, keys)
        return await store.end_all(identity, time.time(), spared)

    _ = run_with_app_s(loaded, profile, redis_url, end)


def _keys_of(profile: Profile, named: str) -> tuple[str, ...]:
    """Give the public ids that a name may mean: ids of some formats look like them."""
    as_id = credential_of_id(profile, named)
    keys = [named] if is_key(named) else []
    keys += [as_id.key] if as_id is not None else []
    if not keys:
        raise unknown()
    return tuple(keys)


async def _meant(
    store: ExternalStore, profile: Profile, named: str, keys: tuple[str, ...]
) -> str:
    """Tell which one is meant: an id has a record, the hash of an id has none."""
    as_id = credential_of_id(profile, named)
    if len(keys) == 1 or as_id is None:
        return keys[0]
    found = await store.look_up(as_id, time.time())
    return named if found is None else as_id.key
