"""Reports what requests do: access lines, observations, audit events, failures."""

from collections.abc import Sequence
from math import inf
from typing import Final

from gateway.errors import KeysUnavailable, StoreUnavailable
from gateway.observe.access import (
    AccessLog,
    RejectedConnection,
    labels_part,
)
from gateway.observe.audit_events import (
    Actor,
    AuditEvent,
    SessionEvent,
)
from gateway.observe.failure import describe
from gateway.observe.metrics import RequestSeries
from gateway.oidc.failure import SignInFailed
from gateway.outbound import UpstreamView
from gateway.reasons import DENY, ROWS, TOKEN_INVALID, Reason, Verdict
from gateway.server.attempts import Kind, LimitReached
from gateway.server.context import RequestContext
from gateway.server.reporting.audited import write_event
from gateway.server.reporting.channels import Channels
from gateway.sessions.record import Session

_LOG_EVERY: Final = 60.0
"""Seconds between two lines about an outage of the same kind."""


class RequestReporter:
    """Implements `Report` with the log and the metrics."""

    def __init__(self, channels: Channels) -> None:
        self._log, self._audit = channels.log, channels.audit
        self._metrics, self._system = channels.metrics, channels.system
        self._access = AccessLog(channels.output)
        self.token_used = self._metrics.token
        # What requests that ended alike share; bounded as the labels of metrics are.
        self._alike: dict[
            tuple[str, str | None, Verdict, Reason, int], tuple[RequestSeries, str]
        ] = {}
        self._not_sent: set[tuple[str, str]] = set()
        self._not_forwarded: set[tuple[str, str]] = set()
        self._renewals_failed: dict[tuple[str, Reason], float] = {}
        self.access_wanted = True

    def request_started(self) -> None:
        """Count a request in flight."""
        self._metrics.requests_in_flight += 1

    def request_ended(self, context: RequestContext) -> None:
        """Write the access line and the observations of a request."""
        metrics, route = self._metrics, context.route
        metrics.requests_in_flight -= 1
        duration = self._system.ticks() - context.started
        verdict, reason = context.verdict, context.reason
        labels = (
            "" if route is None else route.id,
            context.upstream,
            verdict,
            reason,
            context.status,
        )
        series, part = self._alike.get(labels) or self._begin(*labels)
        metrics.observe(
            series,
            duration,
            context.upstream_time,
            context.lookup_time,
            context.lookup_result,
        )
        if context.mode:
            metrics.authz_decision(context.mode, str(verdict))
        if self.access_wanted:
            self._access.write(context, part, duration)
        denied = verdict is DENY or reason is TOKEN_INVALID
        if denied and ROWS[reason].audited:
            self._audit.denied(
                context.now, _actor(context), reason=reason, route=labels[0]
            )

    def connection_rejected(
        self, status: int, reason: Reason, request_id: str, now: float, peer: str
    ) -> None:
        """Write the access line of a connection without a valid request; count it."""
        labels = ("", None, Verdict.REFUSE, reason, status)
        series, part = self._alike.get(labels) or self._begin(*labels)
        self._metrics.observe(series, 0.0)
        if self.access_wanted:
            rejected = RejectedConnection(
                now=now, request_id=request_id, status=status, reason=reason, peer=peer
            )
            self._access.write(rejected, part, 0.0)

    def request_failed(self, context: RequestContext, error: Exception) -> None:
        """Log an expected failure; count a failure of the store."""
        of_provider = isinstance(error, KeysUnavailable)
        if isinstance(error, StoreUnavailable) and not of_provider:
            cause = error.__cause__
            self._metrics.store_error(type(cause or error).__name__)
        self._log.warning(
            "request failed",
            reason=context.reason.value,
            error=f"{type(error).__name__}: {describe(error)}"[:300],
            request_id=context.request_id,
            upstream=context.upstream,
        )

    def log_unhandled_exception(
        self, error: BaseException | None, context: RequestContext | None = None
    ) -> None:
        """Log an unexpected exception with its traceback."""
        self._log.error(
            "unexpected error",
            request_id=context.request_id if context is not None else None,
            exc_info=error,
        )

    def audit(self, event: AuditEvent, context: RequestContext) -> None:
        """Write an audit event."""
        write_event(self._audit, event, context.now, _actor(context))

    def stream_opened(self, kind: str) -> None:
        """Count an open WebSocket."""
        if kind == "websocket":
            self._metrics.websockets_open += 1

    def stream_closed(self, kind: str) -> None:
        """Count a closed WebSocket."""
        if kind == "websocket":
            self._metrics.websockets_open -= 1

    def attempt_failed(self, kind: Kind) -> None:
        """Count a failed attempt."""
        self._metrics.attempt(kind.value, "failed")

    def attempt_refused(self, kind: Kind, reached: LimitReached | None) -> None:
        """Count a refused attempt; log it once per address and window."""
        self._metrics.attempt(kind.value, "refused")
        if reached is not None:
            self._log.warning(
                "too many failed attempts",
                kind=kind.value,
                client=reached.source,
                refused=reached.refused,
                limit=reached.allowance.count,
                window_seconds=reached.allowance.window,
                unlogged_clients=reached.unlogged,
            )

    def session_event(self, event: SessionEvent, session: Session) -> None:
        """Write an audit event of a session, without a request."""
        actor = Actor(
            user_id=session.identity.id,
            tenant_id=session.active_tenant_id or "",
            session_id=session.id,
        )
        self._audit.session_event(self._system.now(), actor, event)

    def renewed(self, provider: str, outcome: str) -> None:
        """Count a renewal of the membership of a session."""
        self._metrics.renewal(provider, outcome)

    def renewal_failed(
        self, provider: str, failure: SignInFailed, *, ended: bool
    ) -> None:
        """Count a failed renewal; log it, an outage once a minute."""
        self._metrics.renewal(provider, "ended" if ended else "failed")
        now, key = self._system.ticks(), (provider, failure.reason)
        if not ended and now - self._renewals_failed.get(key, -inf) < _LOG_EVERY:
            return
        self._renewals_failed[key] = now
        self._log.warning(
            "membership not renewed",
            provider=provider,
            reason=failure.reason.value,
            error=failure.detail,
            session_ended=ended,
        )

    def admin_action(self, event: str, session: Session) -> None:
        """Write the audit event of an action of the admin API."""
        now, actor = self._system.now(), Actor(user_id="admin")
        token_name, owner = session.token_name or "", session.identity.id
        if event == "created":
            self._audit.session_created(
                now, Actor(user_id=owner, session_id=session.id), token_name=token_name
            )
        else:
            self._audit.session_revoked(
                now,
                actor,
                session_id=session.id,
                target_user_id=owner,
                token_name=token_name,
            )

    def identity_changed(
        self, identity_id: str, members: Sequence[str], count: int
    ) -> None:
        """Write the audit event of a change by the admin API."""
        self._audit.identity_changed(
            self._system.now(),
            Actor(user_id="admin"),
            identity_id=identity_id,
            members=members,
            count=count,
        )

    def cookie_not_forwarded(self, upstream: str, name: str) -> None:
        """Log a removed cookie of an app, once for each upstream and name."""
        if (upstream, name) not in self._not_forwarded:
            self._not_forwarded.add((upstream, name))
            self._log.warning(
                "cookie not forwarded",
                upstream=upstream,
                name=name,
                error="the gateway sets a cookie of this name; rename one of them"
                " (sessions.cookie.name)",
            )

    def headers_not_sent(self, view: UpstreamView) -> None:
        """Log each identity header that could not be sent, once for each upstream."""
        unsent = view.identity.unsent
        for header, why in list(unsent.items()):
            if (view.name, header) not in self._not_sent:
                self._not_sent.add((view.name, header))
                self._log.warning(
                    "identity header not sent",
                    upstream=view.name,
                    header=header,
                    error=why,
                )
        unsent.clear()

    def _begin(
        self,
        route: str,
        upstream: str | None,
        verdict: Verdict,
        reason: Reason,
        status: int,
    ) -> tuple[RequestSeries, str]:
        """Create what requests with these labels share."""
        alike = self._alike[route, upstream, verdict, reason, status] = (
            self._metrics.series(route, upstream, str(verdict), str(reason), status),
            labels_part(route, upstream, verdict, reason, status),
        )
        return alike


def _actor(context: RequestContext) -> Actor:
    head, principal = context.received_head, context.principal
    return Actor(
        user_id=principal.identity_id or "",
        tenant_id=principal.tenant_id or "",
        session_id=principal.session_id or "",
        client=head.client if head is not None else "",
        user_agent=head.user_agent if head is not None else "",
        request_id=context.request_id,
    )
