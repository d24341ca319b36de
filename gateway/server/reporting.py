"""Writes access lines, audit events and the log, and updates the metrics."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, assert_never

import structlog

from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.errors import ConfigError, StoreUnavailable
from gateway.http.head import RequestHead
from gateway.observe.access import AccessLog, AccessRecord
from gateway.observe.audit import (
    Actor,
    Audit,
    AuditEvent,
    SessionRevoked,
    SessionsRevoked,
    SignedIn,
    SignedOut,
    SignInHeaderRefused,
    TenantSwitched,
)
from gateway.observe.failure import describe
from gateway.observe.logs import LogOutput
from gateway.observe.metrics import Metrics, render_merged
from gateway.observe.shared import SharedCounts
from gateway.proxy.health import TargetChange
from gateway.reasons import ROWS, Reason, Verdict
from gateway.server.attempts import Kind, LimitReached
from gateway.server.context import RequestContext
from gateway.server.descriptors import descriptor_limit
from gateway.server.edge import Edge
from gateway.sessions.record import Session

_STORE_EVENTS: Final = {
    "store_switched": "switched to another Redis server",
    "store_exchanged": "the server at redis.url was replaced",
    "store_is_replica": "the server at redis.url is a replica: sign-out is unavailable",
    "store_info_denied": "Redis denies INFO: a replaced server is not detected",
    "store_suspect": "Redis is not a usable master; reconnecting",
    "store_not_held": "write not confirmed by every Redis server",
    "endings_waiting": "revocations not yet confirmed by Redis",
}


class Reporter:
    """Implements `Report` with the log and the metrics."""

    def __init__(
        self,
        output: LogOutput,
        *,
        shared: SharedCounts | None = None,
        place: int = 1,
        first: bool = True,
    ) -> None:
        """Create a reporter.

        Args:
            output: the log.
            shared: the counts of several processes, so that each can serve a scrape
                for all; None for a single process.
            place: index of this process in `shared`.
            first: whether this process writes the audit events common to all.
        """
        self._log = structlog.get_logger("gateway")
        self._sink = output.sink
        self._access = AccessLog(output)
        self._audit = Audit(output)
        self._metrics = Metrics(
            version=gateway_version(), python=platform.python_version()
        )
        self._edge = Edge()
        self._shared, self._place = shared, place
        self._first = first
        self._access_wanted = True

    def configure(self, config: Config) -> None:
        """Apply the log settings of a configuration."""
        self._access_wanted = config.log.access

    # Requests

    def request_started(self) -> None:
        """Count a request in flight."""
        self._metrics.requests_in_flight += 1

    def request_ended(self, context: RequestContext) -> None:
        """Write the access line and the observations of a request."""
        metrics, head = self._metrics, context.received_head
        metrics.requests_in_flight -= 1
        duration = self._edge.ticks() - context.started
        route = context.route.id if context.route is not None else ""
        metrics.observe(
            route,
            str(context.verdict),
            str(context.reason),
            context.status,
            duration,
            max(0.0, duration - context.upstream_time - context.lookup_time),
        )
        if context.upstream is not None:
            metrics.upstream(context.upstream, context.upstream_time)
        if context.lookup_result:
            metrics.session_lookup(context.lookup_result, context.lookup_time)
        if self._access_wanted:
            self._access.write(_record(context, head, route, duration))
        if context.verdict is Verdict.DENY and ROWS[context.reason].audited:
            self._audit.denied(
                context.now, _actor(context), reason=context.reason, route=route
            )

    def request_failed(self, context: RequestContext, error: Exception) -> None:
        """Log an expected failure; count a failure of the store."""
        if isinstance(error, StoreUnavailable):
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
        now, actor, audit = context.now, _actor(context), self._audit
        match event:
            case SignedIn(methods=methods):
                audit.sign_in(now, actor, methods=methods)
            case SignedOut(everywhere=everywhere):
                audit.sign_out(now, actor, everywhere=everywhere)
            case TenantSwitched(before=before, after=after):
                actor = replace(actor, tenant_id=before)
                audit.tenant_switched(now, actor, to_tenant_id=after)
            case SignInHeaderRefused(upstream=upstream):
                names = ("X-Gateway-Sign-In", "X-Gateway-Sign-Out")
                audit.spoofed_headers(now, actor, names=names, upstream=upstream)
            case SessionRevoked(session_id=session_id):
                audit.session_revoked(
                    now, actor, session_id=session_id, target_user_id=actor.user_id
                )
            case SessionsRevoked(count=count):
                audit.sessions_revoked(now, actor, count=count)
            case _ as never:
                assert_never(never)

    def stream_opened(self, kind: str) -> None:
        """Count an open WebSocket."""
        if kind == "websocket":
            self._metrics.websockets_open += 1

    def stream_closed(self, kind: str) -> None:
        """Count a closed WebSocket."""
        if kind == "websocket":
            self._metrics.websockets_open -= 1

    # The process

    def connections(self, count: int) -> None:
        """Set the number of open client connections."""
        self._metrics.connections_open = count

    def shortage(self, what: str, missed: int) -> None:
        """Log an exhausted resource, and the number of failures."""
        self._log.error("out of " + what, missed=missed, limit=descriptor_limit())

    def connection_rejected(
        self, status: int, reason: Reason, request_id: str, now: float, peer: str
    ) -> None:
        """Write the access line of a connection without a valid request; count it."""
        self._metrics.observe("", "refuse", reason.value, status, 0.0, 0.0)
        if self._access_wanted:
            self._access.write(
                AccessRecord(
                    started_at=now,
                    duration=0.0,
                    request_id=request_id,
                    status=status,
                    verdict=Verdict.REFUSE,
                    reason=reason,
                    client=peer,
                )
            )

    def log_corrupt_record(self, key: str, why: str) -> None:
        """Log an invalid session record; called once per key."""
        self._log.warning("unreadable session record", key=key[:12], why=why)

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

    def store_warning(self, text: str, hint: str, *, broken: bool) -> None:
        """Log a setting or permission of Redis that is unsuitable for sessions."""
        log = self._log.error if broken else self._log.warning
        log("Redis configuration is unsuitable for sessions", why=text, hint=hint)

    def store_event(self, event: str, fields: Mapping[str, Any]) -> None:
        """Log and count an event of the session store."""
        match event:
            case "store_switched" | "store_exchanged":
                self._metrics.store_switched()
            case "store_refused":
                # The access line of the request reports it.
                self._metrics.store_refused("no_lease")
                return
            case "store_not_held":
                self._metrics.store_refused("not_held")
            case "endings_waiting":
                self._metrics.endings_waiting(fields["count"])
            case _:
                pass
        log = self._log.error if event == "store_is_replica" else self._log.warning
        log(_STORE_EVENTS.get(event, event), **fields)

    def admin_action(self, event: str, session: Session) -> None:
        """Write the audit event of an action of the admin API."""
        now, actor = self._edge.now(), Actor(user_id="admin")
        if event == "created":
            self._audit.session_created(
                now, Actor(user_id=session.identity.id, session_id=session.id)
            )
        else:
            self._audit.session_revoked(
                now, actor, session_id=session.id, target_user_id=session.identity.id
            )

    def admin_refused(self, client: str) -> None:
        """Write the audit event of a request with an invalid admin token."""
        self._audit.admin_refused(self._edge.now(), Actor(client=client))

    def token_used(self, profile: str, *, signed: bool) -> None:
        """Count a token that was signed or reused."""
        self._metrics.token(profile, signed=signed)

    def name_changed(self, name: str, error: str | None) -> None:
        """Log that look-ups of a host name started to fail, or recovered."""
        if error is None:
            self._log.info("host name look-up recovered", name=name)
        else:
            self._log.warning("host name look-up failed", name=name, problem=error)

    def target_changed(self, upstream: str, change: TargetChange) -> None:
        """Log and count an ejected or readmitted target."""
        if change.ejected:
            self._metrics.target_ejected(upstream, change.cause)
            self._log.warning(
                "upstream target ejected",
                upstream=upstream,
                target=change.target,
                cause=str(change.cause),
                failures=change.failures,
                seconds=round(change.seconds, 1),
            )
        else:
            self._metrics.target_returned(upstream)
            self._log.info(
                "upstream target returned", upstream=upstream, target=change.target
            )

    def listening(self, loaded: LoadedConfig) -> None:
        """Log that the gateway accepts requests, with configuration warnings."""
        config = loaded.config
        self._metrics.config_loaded(self._edge.now())
        for warning in loaded.warnings:
            self._log.warning("configuration warning", problem=str(warning))
        needed, limit = 2 * config.server.limits.connections, descriptor_limit()
        if limit < needed:
            # One descriptor for the client, one for the upstream.
            self._log.warning(
                "open file limit is too low for server.limits.connections",
                limit=limit,
                needed=needed,
            )
        self._log.info(
            "listening",
            listen=list(config.server.listen),
            admin=config.server.admin,
            public_url=config.server.public_url,
            routes=len(config.routes),
            pid=os.getpid(),
        )

    def reloaded(self, loaded: LoadedConfig, waits: Sequence[str]) -> None:
        """Log a reload, and the keys that require a restart."""
        self._metrics.config_loaded(self._edge.now())
        if self._first:
            self._audit.config_reloaded(self._edge.now())
        self._log.info("configuration reloaded", routes=len(loaded.config.routes))
        if waits:
            self._log.warning("restart required", keys=list(waits))

    def reload_refused(self, error: ConfigError) -> None:
        """Log a failed reload; the previous configuration stays active."""
        self._metrics.config_refused()
        if self._first:
            self._audit.config_reloaded(self._edge.now(), problems=len(error.problems))
        for problem in error.problems:
            self._log.error("configuration reload failed", problem=str(problem))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all processes, and their content type."""
        self._metrics.log_lines_dropped = self._sink.dropped
        if self._shared is None:
            return self._metrics.render(accept=accept)
        self.share()
        return render_merged(self._shared.read_all(), accept=accept)

    def share(self) -> None:
        """Publish the counts of this process for the others."""
        if self._shared is None:
            return
        self._metrics.log_lines_dropped = self._sink.dropped
        self._shared.write(self._place, self._metrics.snapshot())

    def close(self) -> None:
        """Publish the final counts."""
        self.share()


def gateway_version() -> str:
    """Return the installed version."""
    try:
        return version("auth-gateway")
    except PackageNotFoundError:
        return "unknown"


def _record(
    context: RequestContext, head: RequestHead | None, route: str, duration: float
) -> AccessRecord:
    record = AccessRecord(
        started_at=context.now,
        duration=duration,
        request_id=context.request_id,
        status=context.status,
        verdict=context.verdict,
        reason=context.reason,
        body_bytes=context.body_bytes,
        route=route,
        upstream=context.upstream or "",
        upstream_duration=context.upstream_time,
        user_id=context.identity_id or "",
        tenant_id=context.tenant_id or "",
        session_id=context.session_id or "",
    )
    if head is None:
        record.client = context.exchange.client.peer
    else:
        record.method = head.method
        record.path = head.target.path
        record.host = head.host
        record.scheme = head.scheme
        record.protocol = "1.1" if head.http_version == (1, 1) else "1.0"
        record.client = head.client
        record.user_agent = head.user_agent
        record.trace_id = head.traceparent[3:35]
    return record


def _actor(context: RequestContext) -> Actor:
    head = context.received_head
    return Actor(
        user_id=context.identity_id or "",
        tenant_id=context.tenant_id or "",
        session_id=context.session_id or "",
        client=head.client if head is not None else "",
        user_agent=head.user_agent if head is not None else "",
        request_id=context.request_id,
    )
