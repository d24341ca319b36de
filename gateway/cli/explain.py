"""`gateway explain`: show how a request would be handled, using the server's code."""

import json
import sys
from pathlib import Path
from typing import TextIO

import click

from gateway.cli import exit_with, load_or_exit
from gateway.cli.explain_via import PROXIES
from gateway.cli.explanation import Explanation
from gateway.cli.records import where
from gateway.errors import GatewayError
from gateway.http.authorization import CredentialKind
from gateway.http.forwarded import parse_address


def _address(_context: click.Context, _option: click.Parameter, text: str) -> str:
    if parse_address(text) is None:
        raise click.BadParameter(f"{text!r} is not an IP address")
    return text


@click.command(short_help="Explain how a request would be handled.")
@click.argument("method")
@click.argument("target")
@where
@click.option(
    "--as",
    "who",
    default="anonymous",
    show_default=True,
    metavar="admin|member|anonymous|SESSION_ID",
    help="Sender; a session ID is looked up in Redis: the public ID, or with an external "
    "sessions.format also the app's own.",
)
@click.option(
    "--bearer",
    is_flag=True,
    help="The sender is a program with an access token; --as is its ID, or an example.",
)
@click.option("--basic", is_flag=True, help="The same, as the password of Basic.")
@click.option(
    "--token-file",
    type=click.File(),
    default=None,
    help="The sender is a program with this access token of a provider (a file, or `-`), "
    "which is verified.",
)
@click.option(
    "--host", default=None, help="Host header; default: host of server.public_url."
)
@click.option(
    "--from",
    "address",
    default="127.0.0.1",
    show_default=True,
    callback=_address,
    help="Client IP address.",
)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    help="Header, as 'Name: value'; repeatable.",
)
@click.option(
    "--via",
    type=click.Choice(list(PROXIES)),
    default=None,
    help="Also print the response to this front proxy, which asks for a decision.",
)
def explain(
    method: str,
    target: str,
    config: Path,
    redis_url: str | None,
    who: str,
    bearer: bool,
    basic: bool,
    token_file: TextIO | None,
    host: str | None,
    address: str,
    headers: tuple[str, ...],
    via: str | None,
    as_json: bool,
) -> None:
    """Explain how a request would be handled, using the code of the server.

    Prints the route (file:line) and why it matched; each check with pass, FAIL or "-"
    (not required); and the request to the upstream or the response to the client.
    Exit code 0: allowed. 1: denied.

    \b
    Example:
      gateway explain GET /admin/users --as member
      gateway explain GET https://wiki.example.com/page
      gateway explain GET /api/items --as member --bearer
      gateway explain GET /api/items --token-file token.jwt
    """
    loaded = load_or_exit(config)
    target, host = _split(target, host)
    kind = _kind(who, bearer=bearer, basic=basic)
    if token_file is not None and (kind is not None or who != "anonymous"):
        raise click.UsageError("--token-file excludes --as, --bearer and --basic")
    token = None if token_file is None else token_file.read().strip()
    try:
        explanation = Explanation(
            loaded,
            method,
            target,
            who,
            kind,
            host,
            address,
            headers,
            via,
            token,
            redis_url,
        )
        lines = (*explanation.lines(), *explanation.via())
        if as_json:
            click.echo(json.dumps(explanation.document(lines), indent=2))
        else:
            click.echo("\n".join(lines))
    except GatewayError as error:
        exit_with(str(error))
    sys.exit(0 if explanation.passed else 1)


def _split(target: str, host: str | None) -> tuple[str, str | None]:
    """Return the path and the host of a target that may be a URL."""
    if not target.lower().startswith(("http://", "https://")):
        return target, host
    if host is not None:
        raise click.UsageError("--host and a URL both name the host")
    host, slash, path = target.partition("://")[2].partition("/")
    return slash + path or "/", host


def _kind(who: str, *, bearer: bool, basic: bool) -> CredentialKind | None:
    """Return how a program sends its token; None: the sender is a browser."""
    if not (bearer or basic):
        return None
    if bearer and basic:
        raise click.UsageError("--bearer and --basic exclude each other")
    kind = CredentialKind.BEARER if bearer else CredentialKind.BASIC
    if who == "anonymous":
        raise click.UsageError(f"--{kind} needs --as: admin, member or a token's ID")
    return kind
