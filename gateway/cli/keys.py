"""`gateway keys`: make, show and retire the keys that sign tokens."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, assert_never

import click

from gateway.cli import config_option, load_or_exit
from gateway.cli.dashed import TakesId
from gateway.tokens.key_files import (
    Algorithm,
    KeyRing,
    KeysError,
    load_ring,
    locked,
    new_key,
    read_folder,
)
from gateway.tokens.key_files import retire as retire_key
from gateway.tokens.ring import (
    ClockBehind,
    InUse,
    KeyState,
    NotYetInUse,
    NotYetRetirable,
    OnlyKey,
    Retirable,
    Retirement,
    plan_retirement,
    signs_from,
)

DEFAULT_LIFETIME = 60.0

_F = TypeVar("_F", bound=Callable[..., Any])


def _where(command: _F) -> _F:
    folder = click.option(
        "--folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="The folder of keys; default: tokens.keys of the configuration.",
    )
    algorithm = click.option(
        "--algorithm",
        type=click.Choice([one.value for one in Algorithm]),
        help="How tokens are signed; default: tokens.algorithm of the configuration.",
    )
    return config_option(folder(algorithm(command)))


@click.group(short_help="Make, show and retire the keys that sign tokens.")
def keys() -> None:
    """Make, show and retire the keys that sign tokens.

    With --folder no configuration is read.
    """


@keys.command()
@_where
def new(config: Path, folder: Path | None, algorithm: str | None) -> None:
    """Make a key: published once the gateway reloads, signing soon after."""
    now = time.time()
    place, chosen, _ = _settings(config, folder, algorithm)
    chosen = chosen or Algorithm.ES256.value
    try:
        key = new_key(place, chosen, now)
        ring = load_ring(place, chosen)
    except KeysError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{key.kid}  {key.algorithm}  in {place}")
    if ring.state(key.kid, now) is KeyState.SIGNING:
        click.echo("It is the only key of its kind, and signs at once.")
        return
    click.echo(f"It is published first, and signs from {_utc(signs_from(key))}.")
    click.echo("Reload every gateway now (SIGHUP), and verifiers that keep a copy.")


@keys.command("list")
@_where
def list_(config: Path, folder: Path | None, algorithm: str | None) -> None:
    """Show each key: kid, algorithm, when it was made, what it does."""
    now = time.time()
    place, chosen, _ = _settings(config, folder, algorithm)
    try:
        ring = _ring(place, chosen)
    except KeysError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{'KID':43}  {'ALG':5}  {'CREATED':20}  STATE")
    for key in ring.keys:
        state = ring.state(key.kid, now)
        told = state.value
        if state is KeyState.NEXT:
            told += f" (signs from {_utc(signs_from(key))})"
        created = _utc(key.created)
        click.echo(f"{key.kid:43}  {key.algorithm:5}  {created:20}  {told}")


@keys.command(cls=TakesId)
@_where
@click.option(
    "--force", is_flag=True, help="Now, although tokens that it signed still live."
)
@click.option(
    "--leaked",
    is_flag=True,
    help="The key got out: now, even if it signs; its successor signs at once.",
)
@click.argument("kid")
def retire(
    config: Path,
    folder: Path | None,
    algorithm: str | None,
    force: bool,
    leaked: bool,
    kid: str,
) -> None:
    """Take the key KID (or the one that begins so) out of the ring.

    Refused for a key that signs or is about to, and while a token that it signed may
    live; the answer says until when. --force skips the wait for those tokens and
    nothing else. The file stays, renamed to `.retired`, or `.leaked`.
    """
    now = time.time()
    place, chosen, lifetime = _settings(config, folder, algorithm, override=False)
    try:
        with locked(place):
            if folder is not None:
                _refuse_several_kinds(place)
            ring = _ring(place, chosen)
            found = _find(ring, kid)
            plan = plan_retirement(ring, found, now=now, lifetime=lifetime)
            _refuse_unless_safe(plan, force=force, leaked=leaked)
            path = retire_key(place, found, leaked=leaked)
    except KeysError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{path}")
    click.echo("Reload every gateway now (SIGHUP): until then it is still published.")


def _refuse_unless_safe(plan: Retirement, *, force: bool, leaked: bool) -> None:
    match plan:
        case Retirable():
            return
        case OnlyKey():
            raise KeysError(["it is the only key; first run: gateway keys new"])
        case _ if leaked:
            return
        case NotYetRetirable() if force:
            return
        case NotYetRetirable(safe_at=safe_at):
            why = f"tokens that it signed may live; safe from {_utc(safe_at)}"
            raise KeysError([f"{why} (--force: now)"])
        case InUse(until=None):
            raise KeysError(["it signs; first run: gateway keys new"])
        case InUse(until=until):
            why = f"it signs; its successor takes over at {_utc(until or 0.0)}"
            raise KeysError([f"{why} (--leaked: now)"])
        case NotYetInUse():
            why = "it waits to sign; a gateway whose clock is ahead signs with it now"
            raise KeysError([f"{why} (--leaked: all the same)"])
        case ClockBehind():
            why = "a key was made later than this clock's time: set the clock first"
            raise KeysError([f"{why} (--leaked: all the same)"])
        case unreachable:
            assert_never(unreachable)


def _refuse_several_kinds(folder: Path) -> None:
    if len({file.key.algorithm for file in read_folder(folder)}) > 1:
        told = "keys of several kinds; name the configuration (-c): it says which sign"
        raise KeysError([f"{folder}: {told}"])


def _find(ring: KeyRing, start: str) -> str:
    found = [key.kid for key in ring.keys if key.kid.startswith(start)]
    if len(found) != 1:
        known = ", ".join(key.kid for key in ring.keys)
        raise KeysError([f"{len(found)} keys begin with {start!r}; there are: {known}"])
    return found[0]


def _ring(folder: Path, algorithm: str | None) -> KeyRing:
    if algorithm is None:
        kinds = {file.key.algorithm for file in read_folder(folder)}
        if len(kinds) > 1:
            raise KeysError([f"{folder}: keys of several kinds; add --algorithm"])
        algorithm = next(iter(kinds), Algorithm.ES256)
    return load_ring(folder, algorithm)


def _settings(
    config: Path, folder: Path | None, algorithm: str | None, *, override: bool = True
) -> tuple[Path, str | None, float]:
    """Return folder, algorithm and lifetime of a token.

    Without `override` the configuration alone says which algorithm signs.
    """
    if folder is not None:
        return folder, algorithm, DEFAULT_LIFETIME
    tokens = load_or_exit(config).config.tokens
    if tokens.keys == "embedded":
        message = "tokens.keys is `embedded`: name a folder there, or give --folder"
        raise click.ClickException(message)
    chosen = (override and algorithm) or tokens.algorithm
    return Path(tokens.keys), chosen, tokens.lifetime


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
