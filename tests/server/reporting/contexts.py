"""Requests as they are when they have ended, and what was reported of them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route, Rule
from gateway.server.context import RequestContext
from gateway.server.exchange import Exchange
from gateway.server.reporting.reporter import Reporter
from gateway.spine.principal import NO_PRINCIPAL, Principal
from tests.http.heads import TRACEPARENT, head
from tests.observe.lines import Lines
from tests.sessions.samples import NOW

ROUTE = Route(id="admin", path="/admin/**", rule=Rule.ADMIN_ONLY, upstream="web")
TEXT = "text/plain; version=0.0.4"


def a_context(**changes: Any) -> RequestContext:
    nothing: Any = None
    client = SimpleNamespace(peer="192.0.2.9")
    context = RequestContext(
        handler=nothing,
        exchange=Exchange(nothing, nothing, client),
        runtime=nothing,
        services=nothing,
        started=0.0,
        now=NOW,
        request_id="r_1",
        nonce="",
        received_head=head(("User-Agent", "Browser/1"), target="/admin/x?secret=1"),
        traceparent=TRACEPARENT,
        route=ROUTE,
        verdict=Verdict.ALLOW,
        reason=Reason.SIGNED_IN,
        status=200,
        principal=Principal(
            identity_id="u_ada",
            session_id="s_1",
            session_key="ab" * 32,
            tenant_id="t_acme",
        ),
        upstream="web",
    )
    for name, value in changes.items():
        setattr(context, name, value)
    return context


def unread(**changes: Any) -> RequestContext:
    """A request that could not be read."""
    return a_context(
        received_head=None,
        route=None,
        verdict=Verdict.REFUSE,
        reason=Reason.BAD_REQUEST,
        principal=NO_PRINCIPAL,
        upstream=None,
        **changes,
    )


def reported(lines: Lines, send: Callable[[Reporter], object]) -> list[dict[str, Any]]:
    reporter = Reporter(lines.output)
    send(reporter)
    return lines.events()


def counted(reporter: Reporter, line: str) -> bool:
    text, _ = reporter.process.exposition(TEXT)
    return line in text.decode().splitlines()
