"""`gateway sessions`: create, list, show and revoke sessions in Redis."""

import re
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from gateway.cli import app_sessions, load_or_exit
from gateway.cli.dashed import TakesId
from gateway.cli.records import (
    document,
    identity_option,
    membership_options,
    print_json,
    printable,
    read_tenant,
    read_trait,
    where,
)
from gateway.cli.session_table import print_page, print_table
from gateway.cli.stores import profile_or_exit, run_with_store, unknown
from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.sessions.authenticate import LifetimePolicy
from gateway.sessions.cookie import TOKEN_BYTES, cookie_spec, new_token
from gateway.sessions.record import Identity, Session
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.service import new_session
from gateway.sessions.store import SessionStore, in_browsers
from gateway.sessions.timestamps import format_timestamp

_T = TypeVar("_T")


@click.group(short_help="Create, list, show and revoke sessions.")
def sessions() -> None:
    """Create, list, show and revoke sessions in Redis."""


@sessions.command(short_help="Create a session and print its token.")
@where
@identity_option
@membership_options
@click.option(
    "--aal",
    type=click.Choice(("aal1", "aal2", "aal3")),
    default="aal1",
    show_default=True,
    help="Assurance level.",
)
def create(
    config: Path,
    redis_url: str | None,
    as_json: bool,
    identity: str,
    trait: Sequence[str],
    role: Sequence[str],
    tenant: Sequence[str],
    active_tenant: str | None,
    aal: str,
) -> None:
    """Create a session and print its token (shown once) and Cookie header."""
    loaded = load_or_exit(config)
    settings = loaded.config
    now, token = time.time(), new_token(secrets.token_bytes(TOKEN_BYTES))
    try:
        session = new_session(
            identity=Identity(
                id=identity, traits=dict(map(read_trait, trait)), roles=tuple(role)
            ),
            tenants={member.id: member for member in map(read_tenant, tenant)},
            active_tenant=active_tenant,
            methods=["command_line"],
            aal=aal,
            persistent=settings.sessions.cookie.persistent,
            device=None,
            now=now,
            policy=LifetimePolicy(lifespan=settings.sessions.lifespan),
            session_id=str(uuid.uuid4()),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    ended = _with_store(
        loaded, redis_url, lambda store: store.create(token.key, session, now)
    )
    cookie = f"{_cookie_name(settings)}={token.value}"
    if as_json:
        made = {"token": token.value, "cookie": cookie, "ended": len(ended)}
        print_json({**made, "session": document(session)})
        return
    click.echo(f"session  {session.id}")
    click.echo(f"expires  {format_timestamp(session.expires_at)}")
    click.echo(f"token    {token.value}")
    click.echo(f"Cookie: {cookie}")
    if ended:
        click.echo(f"{len(ended)} older sessions ended (sessions.max_per_identity)")


def _cursor(_context: click.Context, _option: click.Parameter, text: str) -> str:
    if re.fullmatch("([0-9]{1,4}-)?[0-9]{1,20}", text, re.ASCII) is None:
        raise click.BadParameter("expected the cursor that the page before ended with")
    return text


@sessions.command("list", short_help="List active sessions.")
@where
@click.option("--identity", help="Identity ID; default: those of all identities.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Sessions of a page, without --identity; it may hold a few more, or fewer.",
)
@click.option(
    "--cursor",
    default="0",
    callback=_cursor,
    help="Where to continue: the cursor that the page before ended with.",
)
def list_(
    config: Path,
    redis_url: str | None,
    as_json: bool,
    identity: str | None,
    limit: int,
    cursor: str,
) -> None:
    """List the active sessions, newest first; not the access tokens.

    Without --identity those of all identities, in pages: each scans a part of the keys
    in Redis and ends with the cursor of the next.

    \b
    Example:
      gateway sessions list --identity u_ada
      gateway sessions list --limit 50 --json
    """
    loaded, now = load_or_exit(config), time.time()
    if identity is None:
        found, after = _with_store(
            loaded,
            redis_url,
            lambda store: store.list_page(now, cursor=cursor, limit=limit),
        )
        print_page([session for _, session in found], after, as_json=as_json)
        return
    if cursor != "0":
        raise click.UsageError("--cursor is for lists without --identity")
    live = _with_store(loaded, redis_url, lambda store: store.list_for(identity, now))
    listed = [session for _, session in in_browsers(live)]
    if as_json:
        print_json([document(session) for session in listed])
    else:
        print_table(listed, of_all=False)


@sessions.command(cls=TakesId, short_help="Show a session.")
@where
@click.argument("session_id")
def show(config: Path, redis_url: str | None, as_json: bool, session_id: str) -> None:
    """Show a session, also after its end while the record is kept.

    SESSION_ID is the public ID; for a session managed by an app also the app's own.
    """
    del as_json  # it is JSON either way
    loaded = load_or_exit(config)
    profile = profile_or_exit(loaded)
    if profile is not None:
        found_there = app_sessions.look_up(loaded, profile, redis_url, session_id)
        print_json(document(found_there))
        return
    found = _with_store(loaded, redis_url, lambda store: store.find(session_id))
    if found is None:
        raise unknown()
    print_json(document(found[1]))


@sessions.command(cls=TakesId, short_help="Revoke a session.")
@where
@click.argument("session_id")
def revoke(config: Path, redis_url: str | None, as_json: bool, session_id: str) -> None:
    """Revoke a session; its next request is rejected.

    SESSION_ID is the public ID; for a session managed by an app also the app's own.
    The app's record stays unchanged: the gateway stores the revocation.
    """
    loaded = load_or_exit(config)
    profile = profile_or_exit(loaded)
    if profile is not None:
        key = app_sessions.revoke(loaded, profile, redis_url, session_id)
        if as_json:
            print_json({"id": key, "active": False})
        else:
            click.echo(f"revoked session {key}")
        return

    async def end(store: SessionStore) -> Session | None:
        found = await store.find(session_id)
        return None if found is None else await store.end(found[0], time.time())

    ended = _with_store(loaded, redis_url, end)
    if ended is None:
        raise unknown()
    if as_json:
        print_json(document(ended))
    else:
        click.echo(f"revoked the session of {printable(ended.identity.id)}")


@sessions.command("revoke-all", short_help="Revoke all sessions of an identity.")
@where
@identity_option
@click.option("--except", "but", help="ID of a session to keep.")
def revoke_all(
    config: Path, redis_url: str | None, as_json: bool, identity: str, but: str | None
) -> None:
    """Revoke all sessions of an identity, and its access tokens."""
    loaded = load_or_exit(config)
    profile = profile_or_exit(loaded)
    if profile is not None:
        app_sessions.revoke_all(loaded, profile, redis_url, identity, but)
        if as_json:
            # There is no list of them, so no count either.
            print_json({"ended": "all"})
        else:
            click.echo(
                f"revoked all sessions of {printable(identity)} that began before now"
            )
        return

    async def end(store: SessionStore) -> int:
        spared = None if but is None else await store.find(but)
        if but is not None and spared is None:
            raise unknown()
        return await store.end_all(identity, time.time(), spared and spared[0])

    count = _with_store(loaded, redis_url, end)
    if as_json:
        print_json({"ended": count})
    else:
        click.echo(f"revoked {count} session{'' if count == 1 else 's'}")


def _with_store(
    loaded: LoadedConfig,
    redis_url: str | None,
    work: Callable[[RedisStore], Awaitable[_T]],
) -> _T:
    return run_with_store(loaded, redis_url, work)


def _cookie_name(config: Config) -> str:
    cookie = config.sessions.cookie
    return cookie_spec(
        name=cookie.name,
        secure=config.cookie_is_secure,
        same_site=cookie.same_site,
        domain=cookie.domain,
        persistent=cookie.persistent,
    ).name
