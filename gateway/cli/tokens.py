"""`gateway tokens`: create, list and revoke access tokens in Redis."""

import secrets
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from gateway.cli import load_or_exit
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
from gateway.cli.stores import run_with_tokens
from gateway.config.quantities import duration
from gateway.sessions.access_token import RANDOM_BYTES, new_access_token
from gateway.sessions.record import Identity, Session
from gateway.sessions.service import new_token_session
from gateway.sessions.store import SessionStore, access_tokens
from gateway.sessions.timestamps import format_timestamp

_LIFETIME: Final = "90d"


def _duration(_context: click.Context, _option: click.Parameter, text: str) -> float:
    try:
        return duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group(short_help="Create, list and revoke access tokens.")
def tokens() -> None:
    """Create, list and revoke access tokens, with which programs send requests."""


@tokens.command(short_help="Create an access token and print it.")
@where
@identity_option
@click.option("--name", required=True, help="What the token is for, such as CI.")
@membership_options
@click.option(
    "--expires",
    "lifetime",
    default=_LIFETIME,
    show_default=True,
    callback=_duration,
    help="Time to live, such as 12h or 90d; at most 3650d.",
)
def create(
    config: Path,
    redis_url: str | None,
    as_json: bool,
    identity: str,
    name: str,
    trait: Sequence[str],
    role: Sequence[str],
    tenant: Sequence[str],
    active_tenant: str | None,
    lifetime: float,
) -> None:
    """Create an access token and print it, once: Redis holds only its hash.

    \b
    Example:
      gateway tokens create --identity ci --name deploy --role editor --expires 90d
    """
    loaded = load_or_exit(config)
    now, token = time.time(), new_access_token(secrets.token_bytes(RANDOM_BYTES))
    try:
        session = new_token_session(
            name=name,
            identity=Identity(
                id=identity, traits=dict(map(read_trait, trait)), roles=tuple(role)
            ),
            tenants={member.id: member for member in map(read_tenant, tenant)},
            active_tenant=active_tenant,
            now=now,
            lifetime=lifetime,
            session_id=str(uuid.uuid4()),
        )
    except ValueError as error:
        message = str(error).replace("gateway_token.name", "--name")
        raise click.UsageError(message) from error
    run_with_tokens(
        loaded, redis_url, lambda store: store.create(token.key, session, now)
    )
    if as_json:
        print_json({"token": token.value, "session": document(session)})
        return
    click.echo(f"id       {session.id}")
    click.echo(f"expires  {format_timestamp(int(session.expires_at))}")
    click.echo(f"token    {token.value}")


@tokens.command("list", short_help="List active access tokens.")
@where
@click.option("--identity", help="Identity ID; default: those of all identities.")
def list_(
    config: Path, redis_url: str | None, as_json: bool, identity: str | None
) -> None:
    """List the active access tokens, newest first; never the tokens themselves."""
    now = time.time()

    async def listed(store: SessionStore) -> list[tuple[str, Session]]:
        if identity is None:
            return await store.list_tokens(now)
        return access_tokens(await store.list_for(identity, now))

    found = run_with_tokens(load_or_exit(config), redis_url, listed)
    if as_json:
        print_json([document(session) for _, session in found])
        return
    row = "{:36}  {:20}  {:20}  {:20}  {:20}  {}".format
    click.echo(row("ID", "CREATED", "LAST USED", "EXPIRES", "IDENTITY", "NAME"))
    for _, session in found:
        used = session.last_seen_at > session.issued_at
        click.echo(
            row(
                printable(session.id),
                format_timestamp(int(session.issued_at)),
                format_timestamp(int(session.last_seen_at)) if used else "never",
                format_timestamp(int(session.expires_at)),
                printable(session.identity.id),
                printable(session.token_name or ""),
            ).rstrip()
        )


@tokens.command(cls=TakesId, short_help="Revoke an access token.")
@where
@click.argument("token_id")
def revoke(config: Path, redis_url: str | None, as_json: bool, token_id: str) -> None:
    """Revoke an access token; its next request is rejected.

    TOKEN_ID is the ID that `create` and `list` print, not the token.
    """

    async def end(store: SessionStore) -> Session | None:
        found = await store.find(token_id)
        if found is None or found[1].token_name is None:
            return None
        return await store.end(found[0], time.time())

    ended = run_with_tokens(load_or_exit(config), redis_url, end)
    if ended is None:
        raise click.ClickException("no such access token, or it has ended")
    if as_json:
        print_json(document(ended))
    else:
        name, owner = printable(ended.token_name or ""), printable(ended.identity.id)
        click.echo(f"revoked the access token {name} of {owner}")
