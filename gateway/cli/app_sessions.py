"""Sessions that an app keeps, for `gateway sessions`: shown, and ended.

They are named by the id that the app knows them by, or by their public id, the hash
of it, which stands in logs and identity headers.
"""

import time

import click

from gateway.cli.stores import run_with_app_s, unknown
from gateway.config.load import LoadedConfig
from gateway.sessions.foreign import ForeignStore, is_key
from gateway.sessions.formats.credential import credential_of_id
from gateway.sessions.formats.profile import Profile
from gateway.sessions.record import Corrupt, Guest, Session
from gateway.sessions.store import Found


def look_up(
    loaded: LoadedConfig, profile: Profile, redis_url: str | None, named: str
) -> Session:
    """Give a session as a request with its cookie would meet it.

    Raises:
        click.ClickException: there is none, it cannot be read, or it is nobody's.
    """

    async def ask(store: ForeignStore) -> Found:
        credential = await store.search(profile, named)
        if credential is None:
            return None
        return await store.look_up(credential, time.time())

    match run_with_app_s(loaded, profile, redis_url, ask):
        case Session() as session:
            return session
        case Corrupt(why=why):
            raise click.ClickException(f"the session cannot be read: {why}")
        case Guest():
            raise click.ClickException("nobody is signed in to this session")
        case None:
            raise unknown()


def revoke(
    loaded: LoadedConfig, profile: Profile, redis_url: str | None, named: str
) -> str:
    """End a session; gives its public id.

    Whether its record is there now says little: the app may write it anew.
    """
    key = _key_of(profile, named)
    _ = run_with_app_s(
        loaded, profile, redis_url, lambda store: store.end(key, time.time())
    )
    return key


def revoke_all(
    loaded: LoadedConfig,
    profile: Profile,
    redis_url: str | None,
    identity: str,
    but: str | None,
) -> None:
    """End every session of an identity that began before now, but one."""
    spared = None if but is None else _key_of(profile, but)
    _ = run_with_app_s(
        loaded,
        profile,
        redis_url,
        lambda store: store.end_all(identity, time.time(), spared),
    )


def _key_of(profile: Profile, named: str) -> str:
    credential = credential_of_id(profile, named)
    if credential is not None:
        return credential.key
    if not is_key(named):
        raise unknown()
    return named
