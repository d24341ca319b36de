"""`gateway identities`: show and change an identity in its active sessions in Redis."""

import time
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli import load_or_exit
from gateway.cli.dashed import TakesId
from gateway.cli.records import (
    document,
    print_json,
    printable,
    read_tenant,
    read_trait,
    where,
)
from gateway.cli.stores import run_with_store
from gateway.sessions.identity_change import (
    ChangeCount,
    IdentityChange,
    change_sessions,
)
from gateway.sessions.record import Session
from gateway.sessions.store import SessionStore


@click.group(short_help="Show and change identities in their sessions.")
def identities() -> None:
    """Show and change an identity in all of its active sessions.

    A change is effective at the next request of each session. If the identity has no
    active session, `set` and `remove-tenant` change nothing and succeed: the next
    sign-in brings its roles, traits and tenants.
    """


@identities.command(cls=TakesId, short_help="Show an identity.")
@where
@click.argument("identity_id")
def show(config: Path, redis_url: str | None, as_json: bool, identity_id: str) -> None:
    """Show an identity as its newest active session has it."""
    del as_json  # it is JSON either way

    async def find(store: SessionStore) -> list[tuple[str, Session]]:
        return await store.list_for(identity_id, time.time())

    found = [s for _, s in run_with_store(load_or_exit(config), redis_url, find)]
    if not found:
        raise click.ClickException("this identity has no active session")
    newest = document(found[0])
    differing = sum(
        (s.identity, s.tenants) != (found[0].identity, found[0].tenants) for s in found
    )
    print_json(
        {
            "identity": newest["identity"],
            "tenants": newest["tenants"],
            "sessions": len(found),
            "differing_sessions": differing,
        }
    )


@identities.command("set", cls=TakesId, short_help="Replace roles, traits, tenants.")
@where
@click.option("--role", multiple=True, help="Role, of the new list; repeatable.")
@click.option("--no-roles", is_flag=True, help="Remove all roles.")
@click.option("--trait", multiple=True, help="Trait, as NAME=VALUE; repeatable.")
@click.option("--no-traits", is_flag=True, help="Remove all traits.")
@click.option(
    "--tenant", multiple=True, help="Tenant, as ID=ROLE or ID=ROLE=NAME; repeatable."
)
@click.option("--no-tenants", is_flag=True, help="Remove all memberships.")
@click.argument("identity_id")
def set_(
    config: Path,
    redis_url: str | None,
    as_json: bool,
    identity_id: str,
    role: Sequence[str],
    no_roles: bool,
    trait: Sequence[str],
    no_traits: bool,
    tenant: Sequence[str],
    no_tenants: bool,
) -> None:
    """Replace roles, traits or tenants in every active session of an identity.

    Parts without an option stay unchanged. A session that is not a member of its active
    tenant any more acts for none.
    """
    for name, values, none in (
        ("role", role, no_roles),
        ("trait", trait, no_traits),
        ("tenant", tenant, no_tenants),
    ):
        if values and none:
            message = f"--{name} and --no-{name}s exclude each other"
            raise click.UsageError(message)
    try:
        traits = dict(map(read_trait, trait))
        tenants = {each.id: each for each in map(read_tenant, tenant)}
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    change = IdentityChange(
        roles=tuple(role) if role or no_roles else None,
        traits=traits if trait or no_traits else None,
        tenants=tenants if tenant or no_tenants else None,
    )
    if not change.members:
        raise click.UsageError("nothing to change; add --role, --trait or --tenant")
    _change(config, redis_url, as_json, identity_id, change)


@identities.command("remove-tenant", cls=TakesId, short_help="Remove one membership.")
@where
@click.argument("identity_id")
@click.argument("tenant_id")
def remove_tenant(
    config: Path, redis_url: str | None, as_json: bool, identity_id: str, tenant_id: str
) -> None:
    """Remove one membership from every active session of an identity."""
    if not tenant_id:
        raise click.UsageError("the tenant ID is empty")
    change = IdentityChange(remove_tenant=tenant_id)
    _change(config, redis_url, as_json, identity_id, change)


def _change(
    config: Path,
    redis_url: str | None,
    as_json: bool,
    identity_id: str,
    change: IdentityChange,
) -> None:
    count = ChangeCount()

    async def work(store: SessionStore) -> None:
        await change_sessions(store, identity_id, change, now=time.time(), count=count)

    try:
        run_with_store(load_or_exit(config), redis_url, work)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json({"changed": count.changed, "unchanged": count.unchanged})
        return
    if not count.changed and not count.unchanged:
        click.echo(f"{printable(identity_id)} has no active session; nothing to change")
        return
    text = f"changed {count.changed} session{'' if count.changed == 1 else 's'}"
    more = f"; {count.unchanged} had it already" if count.unchanged else ""
    click.echo(text + more)
