"""What a step on the way of a request reaches out with: small, honest stand-ins."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from gateway.build.runtime import build_runtime
from gateway.config.load import LoadedConfig, parse_config
from gateway.http.head import RequestHead
from gateway.observe.audit_events import AuditEvent, SessionEvent
from gateway.oidc.failure import SignInFailed
from gateway.outbound import UpstreamView
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.attempts import Kind, LimitReached
from gateway.server.clock import Clock
from gateway.server.context import RequestContext, Services
from gateway.server.endpoints import answer_locally
from gateway.server.endpoints.local_response import LocalResponse
from gateway.server.exchange import Exchange
from gateway.server.runtime import Runtime
from gateway.server.streams import OpenStreams
from gateway.server.system import System
from gateway.sessions.cookie import SessionToken, new_token
from gateway.sessions.record import Session
from gateway.spine.evaluate import before_lookup
from gateway.spine.outcome import Local, Respond
from gateway.tokens.key_files import embedded_ring
from tests.http.heads import REQUEST_ID, TRACEPARENT
from tests.memory_store import MemoryStore
from tests.sessions.samples import NOW, a_session

RING = embedded_ring("EdDSA", now=NOW - 1e6)


@dataclass(slots=True)
class Clockwork(System):
    """An System whose time stands still and whose chance is a count."""

    time: float = NOW
    drawn: int = 0

    def now(self) -> float:
        return self.time

    def ticks(self) -> float:
        return self.time

    def hex(self, count: int) -> str:
        self.drawn += 1
        return f"{self.drawn:0{2 * count}x}"

    def secret(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")


@dataclass(slots=True)
class Machine(Clockwork):
    """An System on a machine whose wall clock can be set."""

    wall: float = NOW
    steady: float = 0.0

    def __post_init__(self) -> None:
        self.clock = Clock(lambda: self.wall, lambda: self.steady)

    def now(self) -> float:
        return self.clock.now()

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@dataclass(slots=True)
class Notes:
    """A Report that keeps what it was told."""

    audits: list[AuditEvent] = field(default_factory=list)
    tokens: list[tuple[str, bool]] = field(default_factory=list)
    others: list[tuple[str, object]] = field(default_factory=list)

    def request_started(self) -> None:
        self.others.append(("began", None))

    def request_ended(self, context: RequestContext) -> None:
        self.others.append(("ended", context))

    def request_failed(self, _story: RequestContext, error: Exception) -> None:
        self.others.append(("failed", error))

    def log_unhandled_exception(
        self, error: BaseException | None, _story: RequestContext | None = None
    ) -> None:
        self.others.append(("log_unhandled_exception", error))

    def audit(self, event: AuditEvent, _context: RequestContext) -> None:
        self.audits.append(event)

    def token_used(self, profile: str, signed: bool) -> None:
        self.tokens.append((profile, signed))

    def cookie_not_forwarded(self, upstream: str, name: str) -> None:
        self.others.append(("cookie_not_forwarded", upstream))

    def headers_not_sent(self, view: UpstreamView) -> None:
        self.others.append(("headers_not_sent", view.name))

    def attempt_failed(self, kind: Kind) -> None:
        self.others.append(("attempt_failed", kind))

    def attempt_refused(self, kind: Kind, reached: LimitReached | None) -> None:
        self.others.append(("attempt_refused", (kind, reached)))

    def session_event(self, event: SessionEvent, _session: Session) -> None:
        self.others.append(("session_event", event))

    def renewed(self, provider: str, outcome: str) -> None:
        self.others.append(("renewed", (provider, outcome)))

    def renewal_failed(
        self, provider: str, failure: SignInFailed, *, ended: bool
    ) -> None:
        self.others.append(("renewal_failed", (provider, failure, ended)))

    def admin_action(self, event: str, session: Session) -> None:
        self.others.append((event, session))

    def identity_changed(
        self, identity_id: str, members: Sequence[str], count: int
    ) -> None:
        self.others.append(("identity changed", (identity_id, tuple(members), count)))

    def stream_opened(self, kind: str) -> None:
        self.others.append(("opened", kind))

    def stream_closed(self, kind: str) -> None:
        self.others.append(("closed", kind))


class Listening:
    """The client's end: keeps every write by itself."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.send = self.pieces.append


def payload(*pieces: bytes, whole: bool = True) -> StreamReader:
    """A body as aiohttp holds it; more may come unless it is whole."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())  # the client is there
    reader = StreamReader(protocol, 2**16, loop=loop)
    for piece in pieces:
        reader.feed_data(piece)
    if whole:
        reader.feed_eof()
    return reader


def exchange(*pieces: bytes) -> Exchange:
    """A request whose body has arrived; endpoints look at nothing else of it."""
    anonymous: Any = None
    client: Any = Listening()
    return Exchange(anonymous, payload(*pieces), client)


def a_context(
    head: RequestHead | None = None,
    *pieces: bytes,
    services: Services | None = None,
    runtime: Runtime | None = None,
) -> RequestContext:
    """A request that was read, whose body is `pieces`."""
    services = services or some_services()
    anonymous: Any = None
    return RequestContext(
        handler=anonymous,
        exchange=exchange(*pieces),
        runtime=runtime or the_runtime(),
        services=services,
        started=0.0,
        now=services.system.now(),
        request_id="r_1" if head is None else REQUEST_ID,
        nonce="",
        received_head=head,
        traceparent="" if head is None else TRACEPARENT,
        verdict=Verdict.ALLOW,
        reason=Reason.GATEWAY,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A response as it is sent: of the forms of a reply only the last is left."""

    reply: Reply
    cookies: tuple[str, ...]


def rendered(answer: LocalResponse, context: RequestContext) -> Rendered:
    """The response as it is sent: a problem becomes a page or JSON."""
    reply = answer.reply
    if not isinstance(reply, Reply):
        reply = context.runtime.pages.render(reply, context.request_id)
    return Rendered(reply=reply, cookies=tuple(answer.cookies))


def a_config(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "version": 1,
        "server": {"public_url": "https://app.example"},
        "redis": {"url": "redis://127.0.0.1:1/0"},
        "sign_in": {"url": "/auth/login", "home": "/dashboard"},
        "tokens": {
            "issuer": "https://app.example",
            "algorithm": "EdDSA",
            "profiles": {
                "database": {
                    "audience": "postgrest",
                    "header": "Authorization",
                    "cookie": "api_jwt",
                    "claims": {"tenant_id": "{tenant.id}"},
                },
                "assertion": {"audience": "web", "header": "X-Auth-Assertion"},
            },
        },
        "upstreams": {
            "web": {"url": "http://127.0.0.1:1", "token": "assertion"},
            "api": {"url": "http://127.0.0.1:1", "token": "database"},
        },
        "routes": [
            {"match": "/**", "rule": "public", "upstream": "web"},
            {"match": "/api/**", "rule": "protected", "upstream": "api"},
        ],
    }
    return document | changes


def loaded(**changes: Any) -> LoadedConfig:
    # By way of JSON, for what is said twice would become an anchor and its alias.
    document = json.loads(json.dumps(a_config(**changes)))
    raw = yaml.safe_dump(document).encode()
    return parse_config(raw, path=Path("gateway.yaml"), env={})


@cache
def the_runtime() -> Runtime:
    """The configuration above, compiled once; its upstreams are never asked."""

    async def built() -> Runtime:
        return a_runtime()

    # In a thread of its own: whoever asks first may be in a loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, built()).result()


def a_runtime(**changes: Any) -> Runtime:
    """Compile a configuration of one's own; in a running loop."""
    return build_runtime(loaded(**changes), ring=RING, ticks=lambda: 0.0)


def some_services(store: Any = None, report: Any = None) -> Services:
    store = MemoryStore() if store is None else store
    return Services(
        store=store,
        gateway_managed=store,
        app_managed=None,
        system=Clockwork(),
        streams=OpenStreams(),
        report=Notes() if report is None else report,
    )


async def signed_in(
    services: Services, session: Session | None = None, number: int = 1
) -> SessionToken:
    """Put a session into the store; gives its token."""
    token = new_token(bytes([number]) * 32)
    assert services.gateway_managed is not None
    await services.gateway_managed.create(token.key, session or a_session(), NOW)
    return token


async def stored(services: Services, key: str) -> Session:
    """Return the session that the store has now."""
    assert services.gateway_managed is not None
    found = await services.gateway_managed.load(key)
    assert isinstance(found, Session)
    return found


def cookie(token: SessionToken | str) -> tuple[str, str]:
    value = token if isinstance(token, str) else token.value
    return ("Cookie", f"__Host-gateway_session={value}")


Endpoint: TypeAlias = Callable[[RequestContext], Awaitable[LocalResponse]]


async def call(
    endpoint: Endpoint,
    head: RequestHead,
    *pieces: bytes,
    services: Services | None = None,
    runtime: Runtime | None = None,
) -> tuple[Rendered, RequestContext]:
    """Call one endpoint; the response as it is sent, and what was recorded."""
    context = a_context(head, *pieces, services=services, runtime=runtime)
    return rendered(await endpoint(context), context), context


async def call_path(
    head: RequestHead,
    *pieces: bytes,
    services: Services | None = None,
    runtime: Runtime | None = None,
) -> tuple[Rendered, RequestContext]:
    """Call whatever answers at a path of the gateway's own."""
    context = a_context(head, *pieces, services=services, runtime=runtime)
    outcome = before_lookup(head, context.rules, now=NOW)
    if isinstance(outcome, Local):
        return rendered(
            await answer_locally(context, outcome.endpoint), context
        ), context
    assert isinstance(outcome, Respond)
    context.ended_as(outcome.verdict, outcome.reason)
    answer = LocalResponse(reply=outcome.answer, cookies=tuple(outcome.cookies))
    return rendered(answer, context), context
