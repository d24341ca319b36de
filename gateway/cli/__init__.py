"""The command line: one module per command, imported on first use.

Errors go to standard error as `error: what; what to do`, with `file:line:col: ` in
front where a file is at fault. Exit codes: 0 success, 1 failure, 2 usage error.
"""

import difflib
import gc
import importlib.metadata
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

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
    "authz-test",
    "healthcheck",
    "keys",
    "sessions",
    "identities",
    "tokens",
)
"""Each is `gateway.cli.<name>.<name>`."""


def main() -> None:
    """Run the command line; report an unexpected exception on one line, without values."""
    open_standard_streams()
    _hook_exceptions()
    try:
        cli(prog_name="gateway")
    except Exception as error:  # noqa: BLE001 - the last frame of a process
        _report_failure(error)
        sys.exit(1)


def open_standard_streams() -> None:
    """Open descriptors 0 to 2 if they are closed.

    A process may be started without them. The next file or socket opened would then
    get their number, and log lines would go to a client.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)


def _report_failure(error: BaseException) -> None:
    write_line(f"error: {describe(error)}")
    if os.environ.get("GATEWAY_DEBUG"):
        write_line(stack_of(error))


def _hook_exceptions() -> None:
    """Replace Python's default exception reports, which quote values."""
    sys.excepthook = lambda _kind, error, _trace: _report_failure(error)
    threading.excepthook = lambda found: _report_failure(
        found.exc_value or SystemExit()
    )
    sys.unraisablehook = lambda found: _report_failure(found.exc_value or SystemExit())


def config_option(command: _F) -> _F:
    """Add -c/--config to a command, passed as the Path `config`."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        envvar="GATEWAY_CONFIG",
        default=DEFAULT_CONFIG,
        show_default=True,
        show_envvar=True,
        help="Configuration file.",
    )(command)


def load_or_exit(path: Path) -> LoadedConfig:
    """Load a configuration; on errors, report all of them and exit with status 1."""
    try:
        return load_config(path, env=os.environ)
    except ConfigError as error:
        exit_with(*map(str, error.problems))


def exit_with(*messages: str) -> NoReturn:
    """Report each message as `error: ...` on standard error and exit with status 1."""
    for message in messages:
        click.echo(f"error: {message}", err=True)
    sys.exit(1)


class Commands(click.Group):
    """A group whose commands are imported on first use."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; report click's errors in the style of all others."""
        run = partial(super().main, args, prog_name, complete_var, **extra)
        if not standalone_mode:
            return run(standalone_mode=False)
        try:
            code: object = run(standalone_mode=False)
        except click.Abort:
            exit_with("aborted")
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            hint = ""
            if isinstance(error, click.UsageError) and error.ctx is not None:
                click.echo(error.ctx.get_usage(), err=True)
                hint = f"; see: {error.ctx.command_path} --help"
            click.echo(f"error: {error.format_message().rstrip('.')}{hint}", err=True)
            sys.exit(error.exit_code)
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command if there is none of this name."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            ctx.fail(f'unknown command "{args[0]}"{hint}')
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
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"gateway.cli.{name}")
        if not gc.isenabled():  # see __main__.py
            gc.freeze()
            gc.enable()
        command = getattr(module, name, None)
        return command if isinstance(command, click.Command) else None


def _exists(name: str) -> bool:
    module = name.replace("-", "_")
    return importlib.util.find_spec(f"gateway.cli.{module}") is not None


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
    """Authentication reverse proxy for web apps.

    \b
    Example:
      gateway init -c gateway.yaml --upstream http://127.0.0.1:3000
      gateway check -c gateway.yaml
      gateway run -c gateway.yaml
    """
