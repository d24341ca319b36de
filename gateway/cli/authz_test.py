"""`gateway authz-test`: send probes through a front proxy that asks for decisions."""

import http.client
import ssl
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from gateway.authz.self_test import Answer, Page, Probe, probes_for
from gateway.build.rules import build_rules
from gateway.build.session_format import format_from
from gateway.build.token_profiles import profiles_from
from gateway.cli import config_option, exit_with, load_or_exit
from gateway.cli.explain_lines import check, line
from gateway.cli.explanation import Preview
from gateway.config.load import LoadedConfig
from gateway.http.host import parse_authority
from gateway.http.target import Target, parse_target
from gateway.routes.model import Rule
from gateway.routes.table import Match
from gateway.spine.ruleset import Ruleset

_PATIENCE: Final = 10.0


@click.command(name="authz-test", short_help="Test a front proxy by probes.")
@click.argument("url")
@config_option
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
def authz_test(url: str, config: Path, insecure: bool) -> None:
    """Send unauthenticated probes to a front proxy that asks for decisions.

    URL is a page behind the front proxy that requires a session. Every probe should be
    refused; the output names what to change. No probe changes anything.
    Exit code 0: all passed. 1: a probe failed.

    \b
    Example:
      gateway authz-test https://app.example.com/dashboard
    """
    loaded = load_or_exit(config)
    page = _page(url, loaded)
    failed = 0
    for number, probe in enumerate(probes_for(page)):
        answer = _send(probe, url, insecure=insecure)
        if number == 0 and answer.status == 0:
            # Nor would any other probe get one, each after its time-out.
            exit_with(f"no response from {page.origin}: {answer.failure}")
        finding = probe.finding(answer)
        click.echo(check(probe.name)) if finding is None else click.echo(
            f"  FAIL  {probe.name}\n        {finding}"
        )
        failed += finding is not None
    click.echo("")
    click.echo(line("not seen", "what the app receives. The front proxy has to set:"))
    click.echo(line("", ", ".join(page.headers)))
    sys.exit(1 if failed else 0)


def _page(url: str, loaded: LoadedConfig) -> Page:
    """Return what is requested; exit if it is not a page that requires a session."""
    parts = urlsplit(url)
    authority = parse_authority(parts.netloc)
    target = parse_target(parts.path or "/")
    if (
        parts.scheme not in {"http", "https"}
        or authority is None
        or not isinstance(target, Target)
    ):
        exit_with(f"{url!r} is not a URL such as https://app.example.com/dashboard")
    rules = build_rules(
        loaded,
        external=format_from(loaded),
        issuer=Preview(profiles_from(loaded)),
    )
    matched = rules.routes.match("GET", authority.host, target.path)
    if not isinstance(matched, Match):
        exit_with(f"no route matches {url}; use a page that requires a session")
    if matched.route.rule not in {Rule.PROTECTED, Rule.ADMIN_ONLY}:
        exit_with(
            f"{url} is {matched.route.rule} ({matched.route.source}); use a page that"
            " requires a session"
        )
    names = rules.plans[matched.route.id].view.own_names
    return Page(
        origin=f"{parts.scheme}://{parts.netloc}",
        path=target.path,
        public=_public(rules, authority.host),
        headers=[*(name.decode("ascii") for name in names), "Cookie"],
        cookie=rules.cookie_name.decode("ascii"),
    )


def _public(rules: Ruleset, host: str) -> str | None:
    """Return a path of a public route; None if there is none."""
    for route in rules.routes.routes:
        path = route.path.replace("/**", "/self-test")
        if "{" in path or path == "/self-test" or route.rule is not Rule.PUBLIC:
            continue
        matched = rules.routes.match("GET", host, path)
        if isinstance(matched, Match) and matched.route.rule is Rule.PUBLIC:
            return path
    return None


def _send(probe: Probe, url: str, *, insecure: bool) -> Answer:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            parts.netloc, timeout=_PATIENCE, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE)
    try:
        connection.putrequest(probe.method, probe.target, skip_accept_encoding=True)
        for name, text in probe.headers:
            connection.putheader(name, text)
        if probe.body:
            connection.putheader("Content-Length", str(len(probe.body)))
        connection.endheaders(probe.body or None)
        response = connection.getresponse()
        return Answer(
            status=response.status,
            location=response.getheader("Location"),
            body=response.read(65536),
        )
    except (OSError, http.client.HTTPException) as error:
        return Answer(status=0, failure=str(error) or type(error).__name__)
    finally:
        connection.close()
