"""The state of one request, and the services that its steps use."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from weakref import WeakValueDictionary

from gateway.errors import StoreUnavailable
from gateway.http.head import RequestHead
from gateway.observe.audit_events import AuditEvent, SessionEvent
from gateway.oidc.failure import SignInFailed
from gateway.outbound import UpstreamView
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route
from gateway.server.attempts import Attempts, Kind, LimitReached
from gateway.server.exchange import Exchange, Progress
from gateway.server.provider_tokens import ProviderTokens
from gateway.server.runtime import Runtime
from gateway.server.shares import Shares, UpstreamShares
from gateway.server.streams import OpenStreams
from gateway.server.system import System
from gateway.sessions.access_token import AccessToken
from gateway.sessions.ended import EndedSessions
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.record import Session
from gateway.sessions.redis.lookup import MAX_WAITING
from gateway.sessions.renewals import RenewalStore
from gateway.sessions.store import SessionCredential, SessionSource, SessionStore
from gateway.spine.outcome import Outcome, Respond
from gateway.spine.principal import NO_PRINCIPAL, Principal
from gateway.spine.ruleset import Ruleset


class Report(Protocol):
    """Receives log, audit and metric events; never raises and never blocks."""

    def request_started(self) -> None:
        """Count a request in flight."""
        ...

    def request_ended(self, context: "RequestContext") -> None:
        """Write the access line and the observations of a request."""
        ...

    def request_failed(self, context: "RequestContext", error: Exception) -> None:
        """Log an expected failure."""
        ...

    def log_unhandled_exception(
        self, error: BaseException | None, context: "RequestContext | None" = None
    ) -> None:
        """Log an unexpected exception."""
        ...

    def audit(self, event: AuditEvent, context: "RequestContext") -> None:
        """Write an audit event."""
        ...

    def session_event(self, event: SessionEvent, session: Session) -> None:
        """Write an audit event of a session, without a request."""
        ...

    def renewed(self, provider: str, outcome: str) -> None:
        """Count a renewal of the membership of a session: changed or unchanged."""
        ...

    def renewal_failed(
        self, provider: str, failure: SignInFailed, *, ended: bool
    ) -> None:
        """Log and count a renewal that failed; `ended`: the session ends."""
        ...

    def token_used(self, profile: str, signed: bool) -> None:
        """Count a token that was signed or reused."""
        ...

    def cookie_not_forwarded(self, upstream: str, name: str) -> None:
        """Log that a cookie of the upstream has the name of one of the gateway's."""
        ...

    def headers_not_sent(self, view: UpstreamView) -> None:
        """Log the identity headers of the upstream that could not be sent."""
        ...

    def attempt_failed(self, kind: Kind) -> None:
        """Count a failed attempt."""
        ...

    def attempt_refused(self, kind: Kind, reached: LimitReached | None) -> None:
        """Count a refused attempt; log `reached` unless it is None."""
        ...

    def admin_action(self, event: str, session: Session) -> None:
        """Write an audit event: the admin API created or revoked a session."""
        ...

    def identity_changed(
        self, identity_id: str, members: Sequence[str], count: int
    ) -> None:
        """Write an audit event: the admin API changed an identity in `count` sessions."""
        ...

    def stream_opened(self, kind: str) -> None:
        """Count an opened stream or tunnel."""
        ...

    def stream_closed(self, kind: str) -> None:
        """Count a closed stream or tunnel."""
        ...


class Renewing(Protocol):
    """Renews the membership of sessions, by their keys."""

    def start(self, key: str, runtime: Runtime) -> None:
        """Begin to renew a session, unless that runs or has just failed; never waits."""
        ...

    async def renewed(self, key: str, runtime: Runtime) -> None:
        """Wait until a renewal has ended, within the time of one call."""
        ...


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts that survive a reload.

    `store` holds the sessions. It is also `gateway_managed` if the gateway writes them,
    or `app_managed` if an application does; the other one is None. `own_tokens` holds
    the access tokens if an application writes the sessions.
    """

    store: SessionSource
    gateway_managed: SessionStore | None
    app_managed: ExternalStore | None
    system: System
    streams: OpenStreams
    report: Report
    attempts: Mapping[Kind, Attempts] = field(
        default_factory=lambda: {kind: Attempts(kind) for kind in Kind}
    )
    lookups: Shares = field(default_factory=lambda: Shares(MAX_WAITING, 0.5))
    """The look-ups that wait at the store, by client address."""
    renewals: RenewalStore | None = None
    renewer: Renewing | None = None
    draining: bool = False
    ended: EndedSessions = field(default_factory=EndedSessions)
    own_tokens: SessionStore | None = None
    provider_tokens: ProviderTokens | None = None
    _background: set[asyncio.Task[Any]] = field(default_factory=set)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    @property
    def tokens(self) -> SessionStore:
        """The store of access tokens: the gateway writes them, even if an app writes the sessions."""
        store = self.gateway_managed or self.own_tokens
        assert store is not None  # noqa: S101 - narrows
        return store

    def store_of(self, held: SessionCredential) -> SessionSource:
        """Return the store that holds the session of a credential."""
        return self.tokens if isinstance(held, AccessToken) else self.store

    def turn(self, key: str) -> asyncio.Lock:
        """Return the lock that serializes changes of one session in this process.

        Among processes a compare-and-set decides.
        """
        lock = self._turns.get(key)
        if lock is None:
            lock = self._turns[key] = asyncio.Lock()
        return lock

    def run_in_background(self, write: Coroutine[Any, Any, Any]) -> None:
        """Start a write that no response waits for; it is lost if the store is unavailable."""
        task = asyncio.ensure_future(_quietly(write))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def finish(self) -> None:
        """Wait up to a second for background writes; cancel the rest."""
        if self._background:
            _, left = await asyncio.wait(self._background, timeout=1.0)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


class Handler(Protocol):
    """What a listener does with a request: how it is performed, and how it fails."""

    def perform(self, context: "RequestContext", outcome: Outcome) -> Progress:
        """Perform an outcome; raises as a step may."""
        ...

    def settle(self, context: "RequestContext", error: Exception) -> Progress:
        """Respond to a failed request, or abort the response that has begun."""
        ...


class Abortable(Protocol):
    """An exchange with an upstream, or its response."""

    def abort(self) -> None:
        """Abandon it; nothing happens after its end."""
        ...


@dataclass(slots=True)
class SignInPost:
    """A POST that may be a sign-in; `source` is the key of its attempts.

    `charged`: it was counted in advance, to be undone if it does not fail.
    """

    source: str
    charged: bool


@dataclass(slots=True, eq=False)
class RequestContext:
    """The only mutable state of a request, shared by its steps. Holds no secret.

    Whatever a request holds while it waits is named here, so that `end` releases it,
    wherever the request has come to: `awaited`, `lookup_client` and `share`.

    handler        the listener that handles it
    exchange       the request as it was parsed, and the client's connection
    runtime        the configuration that was active when the request came
    services       the parts that survive a reload
    started        monotonic seconds
    now            seconds since the epoch; the clock is not read a second time
    nonce          32 random hex digits that were used for nothing else
    received_head  None until the head was read
    traceparent    the gateway's, for the upstream (W3C Trace Context)
    principal      whom it acts for
    lookup_time, upstream_time   seconds
    detail         what is wrong with a refused request, for the log
    responded      the first byte of the response was sent, so a failure is an abort
    abort_reason   why the gateway aborted the response
    mode           the endpoint of a decision for another proxy; "" on the proxy path
    credential     how the credential was sent; "" where a route takes the cookie alone
    began          monotonic seconds: what is waited for now, the store or an upstream
    lookup_client  the client that a look-up in progress counts for
    share          the share of an upstream, and whom it counts for
    awaited        the exchange with an upstream
    renewal_awaited  a renewal was waited for
    over           the request has ended; whatever comes late finds nothing to do
    """

    handler: Handler
    exchange: Exchange
    runtime: Runtime
    services: Services
    started: float
    now: float
    request_id: str
    nonce: str
    received_head: RequestHead | None = None
    traceparent: str = ""
    route: Route | None = None
    verdict: Verdict = Verdict.REFUSE
    reason: Reason = Reason.BAD_REQUEST
    detail: str = ""
    status: int = 0
    body_bytes: int = 0
    principal: Principal = NO_PRINCIPAL
    upstream: str | None = None
    lookup_time: float = 0.0
    lookup_result: str = ""
    upstream_time: float = 0.0
    responded: bool = False
    sign_in_post: SignInPost | None = None
    abort_reason: Reason | None = None
    mode: str = ""
    credential: str = ""
    began: float = 0.0
    lookup_client: str = ""
    share: tuple[UpstreamShares, str, str | None] | None = None
    awaited: Abortable | None = None
    renewal_awaited: bool = False
    over: bool = False

    @property
    def head(self) -> RequestHead:
        """The validated head; available once it was read."""
        assert self.received_head is not None  # noqa: S101 - narrows
        return self.received_head

    @property
    def peer(self) -> str:
        """The address that the connection came from."""
        return self.exchange.client.peer

    @property
    def rules(self) -> Ruleset:
        """The rules of the active configuration."""
        return self.runtime.rules

    def received(self, head: RequestHead, span_id: str) -> None:
        """Set the head, and the IDs that a trusted proxy gave the request.

        `span_id` is 16 random hex digits.
        """
        self.received_head = head
        trace_id, flags = head.given_trace or (self.request_id, "01")
        self.traceparent = f"00-{trace_id}-{span_id}-{flags}"
        self.request_id = head.given_id or self.request_id

    def audit(self, event: AuditEvent) -> None:
        """Write an audit event of this request."""
        self.services.report.audit(event, self)

    def ended_as(self, verdict: Verdict, reason: Reason) -> None:
        """Set the verdict and the reason, for the log and the metrics."""
        self.verdict, self.reason = verdict, reason

    def refused(self, outcome: Respond) -> None:
        """Set what a response of the gateway ends as, for the log and the metrics."""
        self.verdict, self.reason = outcome.verdict, outcome.reason
        self.route, self.detail = outcome.route, outcome.detail
        session = outcome.session
        if session is not None:
            self.acts_for(session)

    def acts_for(self, session: Session, tenant_id: str | None = None) -> None:
        """Set the identity, session and tenant, for the log and audit events."""
        self.principal = replace(
            self.principal,
            identity_id=session.identity.id,
            session_id=session.id,
            tenant_id=self.principal.tenant_id if tenant_id is None else tenant_id,
        )

    def keep_without_session(self) -> None:
        """Keep the response when its session ends, which would abort it otherwise."""
        self.principal = replace(self.principal, session_key=None)

    def disconnected(self) -> None:
        """Record why the response is incomplete: 499, as in nginx, or the abort reason."""
        self.status = self.status or 499
        if self.abort_reason is not None:
            self.reason = self.abort_reason
        elif self.status != 101:
            # A client that closes its WebSocket is the normal end.
            self.reason = Reason.CLIENT_GONE

    def cancel(self) -> None:
        """End the request between two steps: see Handling."""
        if not self.over:
            self.disconnected()
            self.end(keep_alive=False)

    def end(self, keep_alive: bool) -> None:
        """Release what the request holds, report it, and go on with its connection."""
        if self.over:
            return
        self.over = True
        if self.awaited is not None:
            self.awaited.abort()
            self.awaited = None
        if self.began:
            self.measure()
        services = self.services
        if self.lookup_client:
            services.lookups.give_back(self.lookup_client)
        if self.share is not None:
            shares, address, identity = self.share
            shares.give_back(address, identity)
        services.report.request_ended(self)
        client = self.exchange.client
        client.handling = None
        client.finished(keep_alive)

    def measure(self) -> None:
        """Record the time that was spent on what was waited for."""
        spent = self.services.system.ticks() - self.began
        self.began = 0.0
        if self.upstream is None:
            self.lookup_time = spent
        else:
            self.upstream_time = spent


async def _quietly(write: Coroutine[Any, Any, Any]) -> None:
    try:
        await write
    except StoreUnavailable:
        # last_seen_at or an extension: the next request tries again.
        return
