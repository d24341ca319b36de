"""One request from its first byte to its access line, and what its steps use."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakValueDictionary

from gateway.errors import StoreUnavailable
from gateway.http.head import RequestHead
from gateway.observe.audit import AuditEvent
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route
from gateway.server.attempts import Attempts, Kind, LimitReached
from gateway.server.edge import Edge
from gateway.server.exchange import Exchange
from gateway.server.runtime import Runtime
from gateway.server.shares import Shares
from gateway.server.streams import OpenStreams
from gateway.sessions.ended import EndedSessions
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.record import Session
from gateway.sessions.redis.lookup import MAX_WAITING
from gateway.sessions.store import SessionSource, SessionStore
from gateway.spine.ruleset import Ruleset


class Report(Protocol):
    """Records what happened; never fails and never blocks."""

    def request_started(self) -> None:
        """Note that a request came."""
        ...

    def request_ended(self, context: "RequestContext") -> None:
        """Note how a request ended: one line, one observation."""
        ...

    def request_failed(self, context: "RequestContext", error: Exception) -> None:
        """Note a failure that has a name."""
        ...

    def log_unhandled_exception(
        self, error: BaseException | None, context: "RequestContext | None" = None
    ) -> None:
        """Log an unexpected exception."""
        ...

    def audit(self, event: AuditEvent, context: "RequestContext") -> None:
        """Write an audit event."""
        ...

    def token_used(self, profile: str, *, signed: bool) -> None:
        """Note a token that was signed, or used again."""
        ...

    def attempt_failed(self, kind: Kind) -> None:
        """Count a failed attempt."""
        ...

    def attempt_refused(self, kind: Kind, reached: LimitReached | None) -> None:
        """Count a refused attempt; log `reached`, where there is something to log."""
        ...

    def admin_action(self, event: str, session: Session) -> None:
        """Note that the admin API made or ended a session."""
        ...

    def stream_opened(self, kind: str) -> None:
        """Note that a stream or tunnel opened."""
        ...

    def stream_closed(self, kind: str) -> None:
        """Note that it closed."""
        ...


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts that outlive a configuration; the same through every reload.

    `store` has the sessions. It is also `gateway_managed` where the gateway writes them, and
    `app_managed` where an app does; the other one is None.
    """

    store: SessionSource
    gateway_managed: SessionStore | None
    app_managed: ExternalStore | None
    edge: Edge
    streams: OpenStreams
    report: Report
    attempts: Mapping[Kind, Attempts] = field(
        default_factory=lambda: {kind: Attempts(kind) for kind in Kind}
    )
    lookups: Shares = field(default_factory=lambda: Shares(MAX_WAITING, 0.5))
    """What each client address has waiting at the store."""
    draining: bool = False
    ended: EndedSessions = field(default_factory=EndedSessions)
    _background: set[asyncio.Task[Any]] = field(default_factory=set)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    def turn(self, key: str) -> asyncio.Lock:
        """Return the lock for changes of one session; held while one is made.

        Other processes have locks of their own: a compare-and-set decides among them.
        """
        lock = self._turns.get(key)
        if lock is None:
            lock = self._turns[key] = asyncio.Lock()
        return lock

    def run_in_background(self, write: Coroutine[Any, Any, Any]) -> None:
        """Start a write that no response waits for; an outage of the store loses it."""
        task = asyncio.ensure_future(_quietly(write))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def finish(self) -> None:
        """Wait up to a second for the writes in the background; cancel the rest."""
        if self._background:
            _, left = await asyncio.wait(self._background, timeout=1.0)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


@dataclass(slots=True)
class SignInPost:
    """A POST that may be a sign-in, by the source whose attempts it counts among.

    `charged`: it was counted already, and is given back if it does not fail.
    """

    source: str
    charged: bool


@dataclass(slots=True, eq=False, kw_only=True)
class RequestContext:
    """What the steps of a request share: its only mutable state. Holds no secret.

    exchange       the request as it was parsed, and the client's connection
    runtime        the configuration that was active when the request came
    services       the parts that outlive a configuration
    started        monotonic seconds
    now            seconds since the epoch; the clock is not read a second time
    received_head  None until the head was read
    session_key    the place of the session in the store; a hash, not the token
    lookup_time, upstream_time   seconds
    responded      the first byte of the response was sent: a failure is an abort now
    abort_reason   why the gateway itself broke the response off
    """

    exchange: Exchange
    runtime: Runtime
    services: Services
    started: float
    now: float
    request_id: str
    received_head: RequestHead | None = None
    route: Route | None = None
    verdict: Verdict = Verdict.REFUSE
    reason: Reason = Reason.BAD_REQUEST
    status: int = 0
    body_bytes: int = 0
    identity_id: str | None = None
    session_id: str | None = None
    session_key: str | None = None
    tenant_id: str | None = None
    upstream: str | None = None
    lookup_time: float = 0.0
    lookup_result: str = ""
    upstream_time: float = 0.0
    responded: bool = False
    sign_in_post: SignInPost | None = None
    abort_reason: Reason | None = None

    @property
    def head(self) -> RequestHead:
        """The head; only steps that follow its reading use it."""
        assert self.received_head is not None  # noqa: S101 - narrows
        return self.received_head

    @property
    def rules(self) -> Ruleset:
        """What decides about requests in this configuration."""
        return self.runtime.rules

    def audit(self, event: AuditEvent) -> None:
        """Write an audit event of this request."""
        self.services.report.audit(event, self)

    def ended_as(self, verdict: Verdict, reason: Reason) -> None:
        """Set how the request ended, for the log and the metrics."""
        self.verdict, self.reason = verdict, reason

    def acts_for(self, session: Session, tenant_id: str | None = None) -> None:
        """Set whose request this is, for the log and audit events."""
        self.identity_id, self.session_id = session.identity.id, session.id
        if tenant_id is not None:
            self.tenant_id = tenant_id


async def _quietly(write: Coroutine[Any, Any, Any]) -> None:
    try:
        await write
    except StoreUnavailable:
        # last_seen_at or an extension: the next request tries again.
        return
