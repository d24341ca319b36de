"""`gateway routes`: list the route table in match order."""

import json
from pathlib import Path

import click

from gateway.build.routes import routes_from
from gateway.cli import config_option, exit_with, load_or_exit
from gateway.errors import ConfigError
from gateway.routes.model import Route


@click.command(short_help="List routes in match order.")
@config_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Output format.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
def routes(config: Path, form: str) -> None:
    """List routes in match order, the most specific first.

    \b
    Example:
      gateway routes -c gateway.yaml
    """
    loaded = load_or_exit(config)
    try:
        table = routes_from(loaded)
    except ConfigError as error:
        exit_with(*map(str, error.problems))
    rows = [_row(route) for route in table.routes]
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    columns = tuple(rows[0])
    lines = [tuple(column.upper() for column in columns)]
    lines += [tuple(row.values()) for row in rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _row(route: Route) -> dict[str, str]:
    return {
        "host": route.host or "*",
        "path": route.path,
        "methods": ",".join(sorted(route.methods or ())) or "*",
        "rule": str(route.rule),
        "require": _require(route) or "-",
        "upstream": route.upstream or "-",
        "source": route.source,
    }


def _require(route: Route) -> str:
    require = route.require
    parts = [
        f"role {'|'.join(sorted(require.roles))}" if require.roles else "",
        "tenant" if require.tenant else "",
        f"tenant role {'|'.join(sorted(require.tenant_roles))}"
        if require.tenant_roles
        else "",
        f"signed in within {require.authenticated_within:g}s"
        if require.authenticated_within
        else "",
        require.aal or "",
        "no session look-up" if route.session_ignored else "",
        f"by {'|'.join(sorted(route.credentials))}" if route.takes_tokens else "",
    ]
    return ", ".join(filter(None, parts))
