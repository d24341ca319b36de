"""`gateway keys`: create, list and retire signing keys."""

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
        help="Key folder; default: tokens.keys of the configuration.",
    )
    algorithm = click.option(
        "--algorithm",
        type=click.Choice([one.value for one in Algorithm]),
        help="Signing algorithm; default: tokens.algorithm of the configuration.",
    )
    return config_option(folder(algorithm(command)))


@click.group(short_help="Create, list and retire signing keys.")
def keys() -> None:
    """Create, list and retire signing keys.

    With --folder, no configuration is read.
    """


@keys.command(short_help="Create a signing key.")
@_where
def new(config: Path, folder: Path | None, algorithm: str | None) -> None:
    """Create a signing key.

    The gateway publishes it at the next reload and signs with it after a delay.
    """
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
        click.echo("It is the only key for this algorithm and signs immediately.")
        return
    click.echo(
        f"It signs from {_utc(signs_from(key))}; until then it is only published."
    )
    click.echo("Reload every gateway now (SIGHUP), and verifiers that cache the keys.")


@keys.command("list", short_help="List signing keys and their state.")
@_where
def list_(config: Path, folder: Path | None, algorithm: str | None) -> None:
    """List signing keys: key ID, algorithm, creation time, state."""
    now = time.time()
    place, chosen, _ = _settings(config, folder, algorithm)
    try:
        ring = _ring(place, chosen)
    except KeysError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{'KID':43}  {'ALG':5}  {'CREATED':20}  STATE")
    for key in ring.keys:
        state = ring.state(key.kid, now)
        shown = state.value
        if state is KeyState.NEXT:
            shown += f" (signs from {_utc(signs_from(key))})"
        created = _utc(key.created)
        click.echo(f"{key.kid:43}  {key.algorithm:5}  {created:20}  {shown}")


@keys.command(cls=TakesId, short_help="Retire a signing key.")
@_where
@click.option(
    "--force", is_flag=True, help="Retire now, even if issued tokens are still valid."
)
@click.option(
    "--leaked",
    is_flag=True,
    help="The key is compromised: retire it now; its successor signs at once.",
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
    """Retire the signing key KID (a unique prefix is enough).

    Fails if the key signs or is about to, or while a token that it signed may still
    be valid; the error names the time. --force skips only the wait for those tokens.
    The file is kept, renamed to `.retired` or `.leaked`.
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
    click.echo(
        "Reload every gateway now (SIGHUP); until then the key is still published."
    )


def _refuse_unless_safe(plan: Retirement, *, force: bool, leaked: bool) -> None:
    match plan:
        case Retirable():
            return
        case OnlyKey():
            raise KeysError(["this is the only key; first run: gateway keys new"])
        case _ if leaked:
            return
        case NotYetRetirable() if force:
            return
        case NotYetRetirable(safe_at=safe_at):
            why = "tokens signed with this key may still be valid"
            raise KeysError([f"{why}; retry at {_utc(safe_at)}, or add --force"])
        case InUse(until=None):
            raise KeysError(["this key is in use; first run: gateway keys new"])
        case InUse(until=until):
            why = f"this key is in use until {_utc(until or 0.0)}"
            raise KeysError([f"{why}; retry then, or add --leaked"])
        case NotYetInUse():
            why = (
                "this key is about to be used; another gateway may sign with it already"
            )
            raise KeysError([f"{why}; to retire it anyway, add --leaked"])
        case ClockBehind():
            why = "a key was created later than the time of this clock"
            raise KeysError([f"{why}; set the clock, or add --leaked"])
        case unreachable:
            assert_never(unreachable)


def _refuse_several_kinds(folder: Path) -> None:
    if len({file.key.algorithm for file in read_folder(folder)}) > 1:
        problem = "keys for several algorithms; use -c with the configuration instead"
        raise KeysError([f"{folder}: {problem}"])


def _find(ring: KeyRing, start: str) -> str:
    found = [key.kid for key in ring.keys if key.kid.startswith(start)]
    if len(found) != 1:
        known = ", ".join(key.kid for key in ring.keys)
        raise KeysError([f"{len(found)} keys match {start!r}; known keys: {known}"])
    return found[0]


def _ring(folder: Path, algorithm: str | None) -> KeyRing:
    if algorithm is None:
        kinds = {file.key.algorithm for file in read_folder(folder)}
        if len(kinds) > 1:
            raise KeysError([f"{folder}: keys for several algorithms; add --algorithm"])
        algorithm = next(iter(kinds), Algorithm.ES256)
    return load_ring(folder, algorithm)


def _settings(
    config: Path, folder: Path | None, algorithm: str | None, *, override: bool = True
) -> tuple[Path, str | None, float]:
    """Return the key folder, the algorithm and the token lifetime in seconds.

    Without `override`, the algorithm of the configuration wins over --algorithm.
    """
    if folder is not None:
        return folder, algorithm, DEFAULT_LIFETIME
    tokens = load_or_exit(config).config.tokens
    if tokens.keys == "embedded":
        message = "tokens.keys is embedded; set it to a folder, or add --folder"
        raise click.ClickException(message)
    chosen = (override and algorithm) or tokens.algorithm
    return Path(tokens.keys), chosen, tokens.longest_lifetime


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
