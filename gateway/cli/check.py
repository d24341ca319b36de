"""`gateway check`: validate a configuration and everything it refers to."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gateway.build.session_format import format_from
from gateway.cli import config_option
from gateway.cli.findings import Findings, findings, redis_findings
from gateway.cli.provider_findings import provider_findings, registration
from gateway.config.load import LoadedConfig, parse_config, read_config
from gateway.config.snippet import source_snippet
from gateway.errors import ConfigError, Problem


@click.command(short_help="Validate a configuration file.")
@config_option
@click.option(
    "--offline",
    is_flag=True,
    help="Skip the checks of Redis and of OpenID Connect providers.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Output format.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
def check(config: Path, offline: bool, form: str) -> None:
    """Validate a configuration file and everything it refers to.

    Starts nothing. Exit code 0: `gateway run` accepts it. 1: it has errors.

    \b
    Example:
      gateway check -c gateway.yaml --offline
    """
    text = ""
    loaded: LoadedConfig | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    try:
        raw = read_config(config)
        text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
        loaded = parse_config(raw, path=config, env=os.environ)
        found = asyncio.run(_examine(loaded, offline))
        problems, warnings = found.problems, loaded.warnings + found.warnings
    except ConfigError as error:
        problems = error.problems
    if form == "json":
        click.echo(_as_json(config, loaded, problems, warnings))
    else:
        _report(text, "error", problems)
        _report(text, "warning", warnings)
        _conclude(config, loaded, problems, offline)
    sys.exit(1 if problems else 0)


async def _examine(loaded: LoadedConfig, offline: bool) -> Findings:
    found = await findings(loaded)
    if offline:
        return found
    redis = await redis_findings(loaded)
    return Findings(
        problems=found.problems + redis.problems,
        warnings=found.warnings + redis.warnings + await provider_findings(loaded),
    )


def _report(text: str, severity: str, problems: Sequence[Problem]) -> None:
    for problem in sorted(problems, key=lambda one: (one.line, one.column)):
        click.echo(f"{severity}: {problem}", err=True)
        if (shown := source_snippet(text, problem)) is not None:
            number, caret = str(problem.line), shown.split("\n")
            click.echo(f"  {number} | {caret[0]}", err=True)
            click.echo(f"  {' ' * len(number)} | {caret[1]}", err=True)


def _conclude(
    path: Path,
    loaded: LoadedConfig | None,
    problems: Sequence[Problem],
    offline: bool,
) -> None:
    if problems or loaded is None:
        count = len(problems)
        click.echo(f"{path}: {count} error{'s' * (count != 1)}", err=True)
        return
    click.echo(f"{path}: ok")
    for name, value in summary(loaded, offline=offline).items():
        click.echo(f"  {name:<10} {value}")
    for line in registration(loaded):
        click.echo(f"  {line}")


def summary(loaded: LoadedConfig, *, offline: bool) -> dict[str, str]:
    """Return a summary of the configuration: one line per part, by label."""
    config = loaded.config
    rules = Counter(route.rule for route in config.routes)
    counted = ", ".join(f"{count} {rule}" for rule, count in sorted(rules.items()))
    upstreams = ", ".join(
        f"{name} ({', '.join(one.url)})" for name, one in config.upstreams.items()
    )
    admin = config.server.admin or "off"
    api = "with" if config.server.admin_token else "without"
    address = config.redis.address
    redis = "embedded" if address is None else str(address)
    if address is not None:
        redis += " (not checked)" if offline else " (responds)"
    tokens = "none"
    if config.tokens.profiles:
        names = ", ".join(config.tokens.profiles)
        tokens = f"{names}; {config.tokens.algorithm}, keys {config.tokens.keys}"
    authz = config.server.authz
    return {
        "listen": ", ".join(config.server.listen),
        **({} if authz is None else {"authz": f"{authz}, decisions for a front proxy"}),
        "admin": f"{admin}, {api} admin API" if config.server.admin else admin,
        "public": config.server.public_url,
        "redis": redis,
        "sessions": _sessions(loaded),
        "routes": f"{len(config.routes)}: {counted}",
        "upstreams": upstreams,
        "tokens": tokens,
    }


def _sessions(loaded: LoadedConfig) -> str:
    """Return who writes the sessions, and for an app's the keys that ACLs must allow."""
    profile = format_from(loaded)
    if profile is None:
        return "written by the gateway"
    keys = " ".join(profile.acl())
    return f"{profile.format}, cookie {profile.cookie_name.decode()}, keys {keys}"


def _as_json(
    path: Path,
    loaded: LoadedConfig | None,
    problems: Sequence[Problem],
    warnings: Sequence[Problem],
) -> str:
    document: dict[str, Any] = {
        "file": str(path),
        "ok": not problems,
        "problems": [_problem(one) for one in problems],
        "warnings": [_problem(one) for one in warnings],
    }
    if loaded is not None:
        document["routes"] = len(loaded.config.routes)
        document["upstreams"] = sorted(loaded.config.upstreams)
    return json.dumps(document, indent=2)


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }
