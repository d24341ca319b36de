"""Pages of docs/ that are generated: reason codes, HTTP endpoints, the command line."""

import ast
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from gateway.cli import cli
from gateway.pages.description import PHRASES
from gateway.reasons import ROWS, Action, Reason
from gateway.server.admin import application
from gateway.spine import local_paths
from tests.reference.advice import ADVICE, ENDPOINTS

ROOT: Final = Path(__file__).parents[2]
_GENERATED: Final = "This page is generated: `python -m tests.reference`."
_OFFERS: Final[Mapping[Action, str]] = {
    Action.SIGN_IN: "sign in",
    Action.CHOOSE_TENANT: "choose an organization",
    Action.RETRY: "try again",
    Action.HOME: "home page",
}


def reasons() -> str:
    """Return docs/reasons.md."""
    lines = [
        "# Reason codes and statuses",
        "",
        "A reason code states why a request ended as it did. The same word is in the access log"
        " (`gateway.reason`), the metric",
        "`gateway_requests_total`, the [problem body](pages.md#problem-bodies) and the output of"
        " `gateway explain`. Codes are stable;",
        "new ones may be added. " + _GENERATED,
        "",
        "The status is the usual one: the configuration of a route can change it"
        " (`forbidden`, `unauthenticated`), browsers may be",
        "redirected, and sentences may have details. Rows with *audited* write an `authz_fail`"
        " audit event.",
        "",
        "| Code | Status | Text | Page offers | What to do |",
        "| --- | --- | --- | --- | --- |",
    ]
    for reason in Reason:
        row = ROWS[reason]
        audited = " *audited*" if row.audited else ""
        status = f"{row.status} {PHRASES[row.status]}"
        lines.append(
            f"| `{reason}` | {status} | {row.sentence}{audited} |"
            f" {_OFFERS[row.action]} | {ADVICE[reason]} |"
        )
    lines += [
        "",
        "Responses with 429 and 503 have `Retry-After`. How to find the reason of a request:"
        " [Troubleshooting](troubleshooting.md).",
        "",
    ]
    return "\n".join(lines)


def endpoints() -> str:
    """Return docs/http-endpoints.md."""
    lines = [
        "# HTTP endpoints",
        "",
        "The paths that the gateway handles itself. " + _GENERATED,
        "",
        "## Public listener",
        "",
        "These paths precede the routes. Any other path below `/.gateway` is a 404 and never"
        " reaches an upstream. GET includes HEAD.",
        "Endpoints that change something reject requests from other origins with a 403.",
        "",
        "| Method | Path | Response |",
        "| --- | --- | --- |",
    ]
    for path, methods in local_paths.TABLE.items():
        lines += [
            f"| {method} | `{path}` | {ENDPOINTS[endpoint]} |"
            for method, endpoint in methods.items()
        ]
    for path, methods in local_paths.MEMBERS.items():
        lines += [
            f"| {method} | `{path}/{{id}}` | {ENDPOINTS[endpoint]} |"
            for method, endpoint in methods.items()
        ]
    for (path, last), methods in local_paths.BELOW_MEMBERS.items():
        lines += [
            f"| {method} | `{path}/{{id}}/{last}` | {ENDPOINTS[endpoint]} |"
            for method, endpoint in methods.items()
        ]
    lines += [
        "",
        "## Admin listener",
        "",
        "On `server.admin`; never expose it publicly. Details: [The admin API](admin-api.md)."
        " Schemas: `GET /openapi.json`.",
        "",
        "| Method | Path | Response | Statuses | Admin token |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {method.upper()} | `{path}` | {about['summary']} |"
        f" {' '.join(about['responses'])} | {'yes' if about.get('security') else 'no'} |"
        for path, method, about in _admin_operations()
    ]
    return "\n".join([*lines, ""])


def _admin_operations() -> Iterator[tuple[str, str, Any]]:
    file = Path(application.__file__).with_name("openapi.json")
    for path, operations in json.loads(file.read_text(encoding="utf-8"))[
        "paths"
    ].items():
        for method, about in operations.items():
            if method in {"get", "post", "put", "patch", "delete"}:
                yield path, method, about


def command_line() -> str:
    """Return docs/cli.md."""
    lines = [
        "# Command line",
        "",
        "`gateway COMMAND --help` prints the same. Without `-c`, commands read `$GATEWAY_CONFIG`"
        " or `config/gateway.yaml`.",
        "Exit codes: 0 success, 1 failure, 2 usage error. " + _GENERATED,
        "",
        "For programs: `--json` of `check`, `routes`, `explain`, `sessions`, `identities` and `tokens`. Errors go to standard"
        " error, each as `error: what; what to do`.",
        "",
        "Completion in the shell, for Bash (`~/.bashrc`), Zsh (`~/.zshrc`) and fish"
        " (`~/.config/fish/completions/gateway.fish`):",
        "",
        '    eval "$(_GATEWAY_COMPLETE=bash_source gateway)"',
        '    eval "$(_GATEWAY_COMPLETE=zsh_source gateway)"',
        "    _GATEWAY_COMPLETE=fish_source gateway | source",
        "",
    ]
    root = click.Context(cli, info_name="gateway")
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        lines += _command(command, click.Context(command, root, info_name=name))
    return "\n".join(lines)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## `{context.command_path}`"
    yield ""
    yield from _description(command.help or "")
    if not isinstance(command, click.Group):
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"    {context.command_path} {usage}"
        yield ""
    options = [each for each in command.params if isinstance(each, click.Option)]
    if options:
        yield "| Option | Default | Meaning |"
        yield "| --- | --- | --- |"
        yield from (_option(each, context) for each in options)
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _command(below, click.Context(below, context, info_name=name))


def _description(text: str) -> Iterator[str]:
    r"""Paragraphs as they are; those that begin with `\b` are code, less the title."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b"):
            yield " ".join(paragraph.split())
        else:
            for line in paragraph.splitlines()[1:]:
                yield f"    {line.strip()}" if line.startswith(" ") else f"{line}\n"
        yield ""


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join((*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag else f" {option.make_metavar(context)}"
    extra = option.get_help_extra(context)
    default = extra.get("default", "")
    shown = f"`{default}`" if default else ""
    meaning = " ".join((option.help or "").split()).replace("|", r"\|")
    named = f"{names}{kind}".replace("|", r"\|")
    return f"| `{named}` | {shown} | {meaning} |".replace("  ", " ")


def modules() -> str:
    """Return docs/modules.md."""
    lines = [
        "# Modules",
        "",
        "Every module of `gateway/`, in the first line of its docstring."
        " [Architecture](architecture.md) has the packages. " + _GENERATED,
    ]
    package = None
    for file in sorted(
        (ROOT / "gateway").rglob("*.py"), key=lambda file: (file.parent, file.stem)
    ):
        folder = file.parent.relative_to(ROOT).as_posix()
        about = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        first = " ".join(about.split("\n\n")[0].split()).replace("|", "\\|")
        if folder != package:
            package = folder
            lines += [
                "",
                f"## `{folder}/`",
                "",
                "| Module | Content |",
                "| --- | --- |",
            ]
        lines.append(f"| `{file.name}` | {first} |")
    return "\n".join([*lines, ""])


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "reasons.md": reasons,
    "http-endpoints.md": endpoints,
    "cli.md": command_line,
}
