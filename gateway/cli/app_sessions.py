"""App-managed sessions for `gateway sessions`: show and revoke.

A session is named by its ID in the app, or by its public ID: the hash of it, which
logs and identity headers contain.
"""

import time

import click

from gateway.cli.stores import run_with_external_store, run_with_tokens, unknown
from gateway.config.load import LoadedConfig
from gateway.errors import NotPermitted
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.credential import credential_of_id, is_public_id
from gateway.sessions.formats.profile import Profile
from gateway.sessions.record import AnonymousSession, Corrupt, Session
from gateway.sessions.store import Found, SessionStore


def look_up(
    loaded: LoadedConfig, profile: Profile, redis_url: str | None, named: str
) -> Session:
    """Return a session as a request with its cookie would get it.

    Raises:
        click.ClickException: unknown session, invalid record, or not signed in.
    """

    async def find(store: ExternalStore) -> Found:
        credential = await store.search(profile, named)
        if credential is None:
            return None
        return await store.look_up(credential, time.time())

    match run_with_external_store(loaded, profile, redis_url, find):
        case Session() as session:
            return session
        case Corrupt(why=why):
            raise click.ClickException(f"invalid session record: {why}")
        case AnonymousSession():
            raise click.ClickException("no user is signed in to this session")
        case None:
            raise unknown()


def revoke(
    loaded: LoadedConfig, profile: Profile, redis_url: str | None, named: str
) -> str:
    """Revoke a session; return its public ID.

    Does not require the record to exist: the app may write it again. If `named` may be
    either kind of ID, both are revoked; at most one of them exists.
    """
    keys = _keys_of(profile, named)

    async def end(store: ExternalStore) -> str:
        meant = await _meant(store, profile, named, keys)
        for key in keys:
            await store.end(key, time.time())
        return meant

    return run_with_external_store(loaded, profile, redis_url, end)


def revoke_all(
    loaded: LoadedConfig,
    profile: Profile,
    redis_url: str | None,
    identity: str,
    but: str | None,
) -> None:
    """Revoke all sessions of an identity that began before now, except `but`.

    Its access tokens are revoked, too.
    """
    keys = () if but is None else _keys_of(profile, but)

    async def end(store: ExternalStore) -> int:
        spared = but and await _meant(store, profile, but, keys)
        return await store.end_all(identity, time.time(), spared)

    _ = run_with_external_store(loaded, profile, redis_url, end)
    takes_tokens = any(each.credentials != ("cookie",) for each in loaded.config.routes)

    async def end_tokens(store: SessionStore) -> int:
        try:
            await store.list_for(identity, 0.0)
        except NotPermitted:
            if takes_tokens:
                raise
            return 0  # who may not read tokens takes none
        return await store.end_all(identity, time.time(), None)

    _ = run_with_tokens(loaded, redis_url, end_tokens)


def _keys_of(profile: Profile, named: str) -> tuple[str, ...]:
    """Return the public IDs that `named` may mean: IDs of some formats look like them."""
    as_id = credential_of_id(profile, named)
    keys = [named] if is_public_id(named) else []
    keys += [as_id.key] if as_id is not None else []
    if not keys:
        raise unknown()
    return tuple(keys)


async def _meant(
    store: ExternalStore, profile: Profile, named: str, keys: tuple[str, ...]
) -> str:
    """Return the public ID that is meant: an ID has a record, the hash of an ID none."""
    as_id = credential_of_id(profile, named)
    if len(keys) == 1 or as_id is None:
        return keys[0]
    found = await store.look_up(as_id, time.time())
    return named if found is None else as_id.key
