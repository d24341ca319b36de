"""The command line: one module for each command, imported when it is used.

Exit codes: 0 done, 1 refused or failed, 2 not understood.
"""

import difflib
import importlib.metadata
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gateway.config.load import LoadedConfig, load_config
from gateway.errors import ConfigError
from gateway.observe.failure import describe, stack_of, write_line

_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_CONFIG: Final = Path("config/gateway.yaml")
COMMANDS: Final = (
    "run",
    "check",
    "explain",
    "routes",
    "schema",
    "init",
    "demo",
    "healthcheck",
    "keys",
    "sessions",
)
"""Each is `gateway.cli.<name>.<name>`."""


def main() -> None:
    """Run the command line; what nobody expected is one line without values."""
    open_standard_streams()
    _hook_exceptions()
    try:
        cli(prog_name="gateway")
    except Exception as error:  # noqa: BLE001 - the last frame of a process
        _report_failure(error)
        sys.exit(1)


def open_standard_streams() -> None:
    """Open descriptors 0 to 2 if they are closed.

    A process may be started without them. The next file or socket that is opened
    would take their number, and log lines would go to a client.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)


def _report_failure(error: BaseException) -> None:
    write_line(f"gateway: {describe(error)}")
    if os.environ.get("GATEWAY_DEBUG"):
        write_line(stack_of(error))


def _hook_exceptions() -> None:
    """Replace Python's own last words, which quote what the code failed at."""
    sys.excepthook = lambda _kind, error, _trace: _report_failure(error)
    threading.excepthook = lambda found: _report_failure(
        found.exc_value or SystemExit()
    )
    sys.unraisablehook = lambda found: _report_failure(found.exc_value or SystemExit())


def config_option(command: _F) -> _F:
    """Add -c/--config to a command; it arrives as the argument `config`, a Path."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        envvar="GATEWAY_CONFIG",
        default=DEFAULT_CONFIG,
        show_default=True,
        show_envvar=True,
        help="The configuration file.",
    )(command)


def load_or_exit(path: Path) -> LoadedConfig:
    """Load a configuration, or tell every problem on standard error and exit 1."""
    try:
        return load_config(path, env=os.environ)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(1)


class Commands(click.Group):
    """A group whose commands are found by name, and imported when asked for."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of this name."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            ctx.fail(f'there is no command "{args[0]}"{hint}')
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the commands whose module exists, in the order of the table."""
        return [name for name in COMMANDS if _exists(name)]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS or not _exists(cmd_name):
            return None
        module = importlib.import_module(f"gateway.cli.{cmd_name}")
        command = getattr(module, cmd_name, None)
        return command if isinstance(command, click.Command) else None


def _exists(name: str) -> bool:
    return importlib.util.find_spec(f"gateway.cli.{name}") is not None


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    try:
        found = importlib.metadata.version("auth-gateway")
    except importlib.metadata.PackageNotFoundError:
        found = "(not installed)"
    click.echo(f"gateway {found}")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Check the session of every request, in front of web apps that have no auth code.

    \b
    Example:
      gateway init -c gateway.yaml --upstream http://127.0.0.1:3000
      gateway check -c gateway.yaml
      gateway run -c gateway.yaml
    """
