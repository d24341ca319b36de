"""Options and output that `gateway sessions`, `tokens` and `identities` share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
import orjson

from gateway.cli import config_option
from gateway.oidc.access_token import without_access_token
from gateway.sessions.record import Session, Tenant
from gateway.sessions.record_json import serialise

_F = TypeVar("_F", bound=Callable[..., Any])


def where(command: _F) -> _F:
    """Add --config, --redis and --json to a command."""
    redis = click.option(
        "--redis",
        "redis_url",
        help="Redis URL; default: redis.url of the configuration.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    return config_option(redis(as_json(command)))


identity_option = click.option("--identity", required=True, help="Identity ID.")


def membership_options(command: _F) -> _F:
    """Add --trait, --role, --tenant and --active-tenant to a command."""
    options = (
        click.option(
            "--trait", multiple=True, help="Trait, as NAME=VALUE; repeatable."
        ),
        click.option("--role", multiple=True, help="Role; repeatable."),
        click.option(
            "--tenant",
            multiple=True,
            help="Tenant, as ID=ROLE or ID=ROLE=NAME; repeatable.",
        ),
        click.option(
            "--active-tenant", help="ID of the active tenant; default: the only one."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_trait(text: str) -> tuple[str, str]:
    """Return the trait in NAME=VALUE.

    Raises:
        ValueError: it has another form.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError("invalid trait; expected NAME=VALUE")
    return name, value


def read_tenant(text: str) -> Tenant:
    """Return the membership in ID=ROLE or ID=ROLE=NAME.

    Raises:
        ValueError: it has another form.
    """
    tenant_id, _, rest = text.partition("=")
    role, _, name = rest.partition("=")
    if not tenant_id or not role:
        raise ValueError("invalid tenant; expected ID=ROLE or ID=ROLE=NAME")
    return Tenant(id=tenant_id, name=name or tenant_id, role=role)


def document(session: Session) -> Any:
    """Return the record of a session as JSON values, without a token of its provider."""
    return orjson.loads(serialise(without_access_token(session)))


def print_json(value: object) -> None:
    """Print JSON, which escapes what could control a terminal."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def printable(text: str) -> str:
    """Return the text without what could control a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)
