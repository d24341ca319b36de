"""`gateway explain`: what would become of a request, and why; the server's code."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, assert_never

import click

from gateway.build import (
    build_cookie,
    build_policy,
    build_replies,
    build_tenant_sources,
    build_view,
    owns_jwks,
)
from gateway.cli import config_option, load_or_exit
from gateway.cli.asker import Asker
from gateway.cli.explain_lines import answer, check, gates, line, method_not_allowed
from gateway.config.load import LoadedConfig
from gateway.decision import (
    Allow,
    Case,
    Challenge,
    Decision,
    Deny,
    decide,
    outside_networks,
)
from gateway.errors import GatewayError
from gateway.http.forwarded import parse_address
from gateway.http.head import BadRequest, HeadRules, RequestHead, read_head
from gateway.http.target import BadTarget
from gateway.outbound import plan_outbound
from gateway.reasons import SENTENCES, Reason
from gateway.routes.compile import routes_from
from gateway.routes.model import Route, Rule
from gateway.routes.table import Match, MethodNotAllowed, NoRoute, RouteTable
from gateway.server.endpoints import WELL_KNOWN_JWKS, is_own, methods_at
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    Authentication,
)
from gateway.sessions.formats.from_config import format_from
from gateway.sessions.record import Tenant
from gateway.tenants import TenantRefused, resolve_tenant
from gateway.tokens.claims import claims_for
from gateway.tokens.compile import profiles_from

# No request is made, so none has an id: what is printed is the same each time.
_REQUEST_ID: Final = "0123456789abcdef0123456789abcdef"
_SPAN_ID: Final = "0123456789abcdef"


def _address(_context: click.Context, _option: click.Parameter, text: str) -> str:
    if parse_address(text) is None:
        raise click.BadParameter(f"{text!r} is not an IP address")
    return text


@click.command()
@click.argument("method")
@click.argument("target")
@config_option
@click.option(
    "--as",
    "who",
    default="anonymous",
    show_default=True,
    metavar="admin|member|anonymous|SESSION_ID",
    help="Who asks; a session id is looked up in Redis: the public one, or with "
    "another sessions.format also the app's own.",
)
@click.option(
    "--host", default=None, help="Host of the request; default: public_url's."
)
@click.option(
    "--from",
    "address",
    default="127.0.0.1",
    show_default=True,
    callback=_address,
    help="IP address of the client.",
)
@click.option(
    "-H", "--header", "headers", multiple=True, help="A header, 'Name: value'."
)
def explain(
    method: str,
    target: str,
    config: Path,
    who: str,
    host: str | None,
    address: str,
    headers: tuple[str, ...],
) -> None:
    """Tell what would become of a request, by the code that serves it.

    Prints the route (file:line) and why it won, each check with pass, FAIL or "-"
    (not asked here), and what the upstream would be sent or the caller be told.
    Exit code 0: it would pass. 1: it would not.

    \b
    Example:
      gateway explain GET /admin/users --as member
    """
    loaded = load_or_exit(config)
    try:
        story = _Story(loaded, method, target, who, host, address, headers)
        click.echo("\n".join(story.tell()))
    except GatewayError as error:
        click.echo(f"gateway: {error}", err=True)
        sys.exit(1)
    sys.exit(0 if story.passed else 1)


class _Story:
    def __init__(
        self,
        loaded: LoadedConfig,
        method: str,
        target: str,
        who: str,
        host: str | None,
        address: str,
        headers: tuple[str, ...],
    ) -> None:
        self.passed = False
        self._loaded = loaded
        self._now = time.time()
        self._table: RouteTable = routes_from(loaded)
        self._foreign = format_from(loaded)
        self._asker = Asker(loaded, self._foreign, who, self._now)
        self._asked = (method, target)
        origin = loaded.config.server.public_url
        raw = [(b"Host", (host or origin.partition("://")[2]).encode())]
        for header in headers:
            name, _, value = header.partition(":")
            raw.append((name.strip().encode(), value.strip().encode()))
        if not any(name.lower() == b"accept" for name, _ in raw):
            raw.append((b"Accept", b"text/html"))
        self._head = read_head(
            method=method,
            raw_target=target,
            version=(1, 1),
            raw_headers=raw,
            peer=address,
            tls=origin.startswith("https:"),
            rules=HeadRules(),
            request_id=_REQUEST_ID,
            span_id=_SPAN_ID,
        )

    def tell(self) -> Iterator[str]:
        method, target = self._asked
        yield f"{method} {target} as {self._asker.name}"
        yield ""
        head = self._head
        if isinstance(head, BadRequest):
            yield line("refused", f"{head.status} {head.reason}: {head.detail}")
            return
        path = head.target.path
        if is_own(path) or (path == WELL_KNOWN_JWKS and owns_jwks(self._table)):
            yield from self._tell_own(head)
            return
        matched = self._table.match(head.method, head.host, path, head.preflight_method)
        yield from self._tell_route(head, matched)
        if isinstance(matched, Match):
            yield from self._tell_decision(head, matched)

    def _tell_own(self, head: RequestHead) -> Iterator[str]:
        methods = methods_at(head.target.path)
        self.passed = head.method in methods
        if self.passed:
            yield line("route", "none: the gateway answers this itself")
        elif methods:
            yield from method_not_allowed(head.method, methods)
        else:
            yield line("route", f"none: 404 {Reason.NO_ROUTE}")
        yield line("because", "no route is asked about the gateway's own paths")

    def _tell_route(
        self, head: RequestHead, matched: Match | NoRoute | MethodNotAllowed
    ) -> Iterator[str]:
        match matched:
            case NoRoute():
                known = self._table.knows(head.host)
                told = (
                    f"404 {Reason.NO_ROUTE}" if known else f"421 {Reason.MISDIRECTED}"
                )
                yield line("route", f"none: {told}")
            case MethodNotAllowed(allowed=allowed):
                yield from method_not_allowed(head.method, allowed)
            case Match(route=route):
                yield line("route", f"{route.id}   {route.source}")
        candidates = self._table.explain(
            head.method, head.host, head.target.path, head.preflight_method
        )
        for candidate in candidates:
            text = candidate.why
            if not candidate.won:
                text = f"not {candidate.route.id} ({candidate.route.source}): {text}"
            yield line("because" if candidate.won else "", text)

    def _tell_decision(self, head: RequestHead, matched: Match) -> Iterator[str]:
        route = matched.route
        if not head.target.escapes <= route.path_allows:
            odd = ", ".join(sorted(head.target.escapes - route.path_allows))
            yield line("refused", f"400 {Reason.BAD_TARGET}: {odd} is not allowed")
            return
        yield line("rule", route.rule.value)
        config = self._loaded.config
        authentication = self._asker.authenticate(
            ignored=route.session_ignored
            or (head.preflight and route.preflight_pass)
            or outside_networks(route, head)
        )
        tenant = (
            resolve_tenant(authentication.session, head, build_tenant_sources(config))
            if isinstance(authentication, Authenticated)
            else None
        )
        decision = decide(
            route=route,
            authentication=authentication,
            tenant=tenant,
            head=head,
            now=self._now,
            policy=build_policy(config),
        )
        self.passed = isinstance(decision, Allow)
        yield ""
        yield "checks"
        yield from self._tell_checks(head, route, authentication, tenant, decision)
        yield ""
        verdict = type(decision).__name__.lower()
        yield line("decision", f"{verdict} ({decision.reason})")
        yield line("", SENTENCES[decision.reason])
        yield ""
        if isinstance(decision, Allow):
            yield from self._tell_upstream(head, route.upstream, decision, tenant)
        else:
            yield from self._tell_answer(head, matched, decision)
            if isinstance(authentication, Anonymous) and authentication.ended:
                yield line("", "and the session cookie is cleared")

    def _tell_checks(
        self,
        head: RequestHead,
        route: Route,
        authentication: Authentication,
        tenant: Tenant | TenantRefused | None,
        decision: Decision,
    ) -> Iterator[str]:
        if route.require.networks:
            outside = outside_networks(route, head)
            question = f"sent from an allowed network ({head.client})"
            yield check(question, decision.reason if outside else None)
            if outside:
                return
        if decision.reason is Reason.PREFLIGHT:
            yield check("a CORS preflight, which this route lets through")
            return
        crossed = decision.reason is Reason.CROSS_SITE
        yield check(
            "not sent by another site",
            decision.reason if crossed else None,
            asked=route.cross_site_refused,
        )
        match route.rule:
            case Rule.PUBLIC:
                yield check("a valid session", asked=False)
            case Rule.AUTH_REDIRECT:
                passed = isinstance(decision, Allow) or crossed
                yield check(
                    "nobody signed in, or a page for who is",
                    None if passed else decision.reason,
                )
            case Rule.PROTECTED | Rule.ADMIN_ONLY:
                if isinstance(authentication, Anonymous):
                    yield check("a valid session", authentication.reason)
                    return
                yield check("a valid session")
                case = Case(
                    route=route,
                    session=authentication.session,
                    tenant=tenant,
                    head=head,
                    now=self._now,
                    policy=build_policy(self._loaded.config),
                )
                yield from gates(case)
            case _ as never:
                assert_never(never)

    def _tell_answer(
        self, head: RequestHead, matched: Match, decision: Challenge | Deny
    ) -> Iterator[str]:
        replies = build_replies(self._loaded.config)
        browser = replace(
            head, accept="text/html", sec_fetch_mode="navigate", requested_with=None
        )
        program = replace(head, accept="application/json", sec_fetch_mode=None)
        for label, caller, asks in (
            ("answer", "a browser", browser),
            ("", "a program", program),
        ):
            reply = replies.to_decision(decision, matched.route, asks)
            yield answer(label, caller, reply)

    def _tell_upstream(
        self,
        head: RequestHead,
        name: str,
        decision: Allow,
        tenant: Tenant | TenantRefused | None,
    ) -> Iterator[str]:
        config = self._loaded.config
        cookie = build_cookie(config, self._foreign)
        view = build_view(config, name, config.upstreams[name], cookie)
        known = tenant if isinstance(tenant, Tenant) else None
        told = decision.session is not None and view.token_profile is not None
        profile = profiles_from(self._loaded).get(view.token_profile or "")
        lacks = profile is not None and profile.needs_tenant and known is None
        outbound = plan_outbound(
            head=head,
            view=view,
            session=decision.session,
            tenant=decision.tenant,
            token=f"<{view.token_profile} token>" if told and not lacks else None,
        )
        yield line("upstream", f"{name} ({', '.join(config.upstreams[name].url)})")
        if isinstance(outbound, BadTarget):
            self.passed = False
            yield line("refused", f"400 {outbound.reason}: {outbound.detail}")
            return
        yield f"  {outbound.method} {outbound.target} HTTP/1.1"
        for header, value in outbound.headers:
            yield f"  {header.decode()}: {value.decode('utf-8', 'replace')}"
        if told and profile is not None and decision.session is not None:
            if lacks:
                yield f"  no {profile.name} token: it needs a tenant, and there is none"
                return
            claims = {
                "aud": profile.audience,
                **claims_for(profile.claims, decision.session, decision.tenant),
            }
            yield f"  {profile.name} token: {json.dumps(claims)}"
