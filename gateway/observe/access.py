"""One line per request, with the field names of ECS and OpenTelemetry.

A line is joined from text. The parts that many requests share are made once, each
exactly as it is written; only values that differ are escaped for each request.
The fields are a closed set, and none can hold a secret.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Final, Protocol

from structlog.typing import EventDict

from gateway.http.head import RequestHead
from gateway.observe.logs import LogOutput
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route
from gateway.spine.principal import NO_PRINCIPAL, Principal

PATH_CHARACTERS: Final = 1024
AGENT_CHARACTERS: Final = 256

# Entries of each memo of parts. A client can fill them with what it sends, so what is
# kept is short: all of it together is at most some 12 MiB.
_KEPT: Final = 4096
_AGENTS_KEPT: Final = 1024
_SHORT: Final = 256


class EndedRequest(Protocol):
    """What a line says of a request. Nothing here can hold a secret.

    `now` is the time of arrival in seconds since the epoch, `upstream_time` seconds.
    `received_head` is None if no request could be read; then `peer` is the client.
    `mode` is the endpoint of a decision for another proxy. `credential` is how the
    credential was sent, where a route takes more than the cookie. `detail` is what is
    wrong with a refused request, in the gateway's own words.
    """

    @property
    def now(self) -> float: ...  # noqa: D102 - described above, as all of these
    @property
    def request_id(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def verdict(self) -> Verdict: ...  # noqa: D102
    @property
    def reason(self) -> Reason: ...  # noqa: D102
    @property
    def route(self) -> Route | None: ...  # noqa: D102
    @property
    def body_bytes(self) -> int: ...  # noqa: D102
    @property
    def upstream(self) -> str | None: ...  # noqa: D102
    @property
    def upstream_time(self) -> float: ...  # noqa: D102
    @property
    def principal(self) -> Principal: ...  # noqa: D102
    @property
    def detail(self) -> str: ...  # noqa: D102
    @property
    def received_head(self) -> RequestHead | None: ...  # noqa: D102
    @property
    def traceparent(self) -> str: ...  # noqa: D102
    @property
    def peer(self) -> str: ...  # noqa: D102
    @property
    def mode(self) -> str: ...  # noqa: D102
    @property
    def credential(self) -> str: ...  # noqa: D102


@dataclass(slots=True, kw_only=True)
class RejectedConnection:
    """An EndedRequest that never began: the connection sent no valid request."""

    now: float
    request_id: str
    status: int
    reason: Reason
    peer: str
    verdict: Verdict = Verdict.REFUSE
    route: Route | None = None
    body_bytes: int = 0
    upstream: str | None = None
    upstream_time: float = 0.0
    principal: Principal = NO_PRINCIPAL
    detail: str = ""
    received_head: RequestHead | None = None
    traceparent: str = ""
    mode: str = ""
    credential: str = ""


class AccessLog:
    """Writes access lines to the sink of the log, without structlog."""

    def __init__(self, output: LogOutput) -> None:
        self._output = output
        self._write = output.sink.write

    def write(self, ended: EndedRequest, labels: str, duration: float) -> None:
        """Write one line; never blocks, never raises, whatever a client sent.

        `labels` is what `labels_part` returned for the request, `duration` seconds.
        """
        if self._output.console:
            self._write(self._output.render(_console_fields(ended, duration)))
            return
        head, now = ended.received_head, ended.now
        if head is None:
            message, shown = "- -", f',"client.address":{_quoted(ended.peer)}'
        else:
            message, shown = head.shown or _show(head)
            shown = f',"trace.id":"{ended.traceparent[3:35]}"{shown}'
        principal = ended.principal.shown
        if principal is None:
            principal = _show_principal(ended.principal)
        upstream = rare = ""
        if ended.upstream is not None:
            upstream = f',"gateway.upstream_duration":{int(ended.upstream_time * 1e9)}'
        if ended.mode or ended.credential or ended.detail:
            rare = _rare_part(ended)
        second = int(now)
        micros = "%06d" % ((now - second) * 1e6)  # noqa: UP031 - half the time
        self._write(
            f'{{"@timestamp":"{_second(second)}.{micros}Z"'
            ',"log.level":"info","event.dataset":"gateway.access"'
            f',"message":"{message} {ended.status}","event.duration":{int(duration * 1e9)}'
            f',"http.request.id":{_quoted(ended.request_id)}'
            f',"http.response.body.bytes":{ended.body_bytes},{labels}{upstream}{rare}'
            f"{shown}{principal}}}\n"
        )


def labels_part(
    route: str, upstream: str | None, verdict: Verdict, reason: Reason, status: int
) -> str:
    """Return the part of a line that follows from the labels of a request."""
    part = (
        f'"http.response.status_code":{status}'
        f',"gateway.decision":{_quoted(verdict)},"gateway.reason":{_quoted(reason)}'
    )
    if route:
        part += f',"gateway.route":{_quoted(route)}'
    if upstream is not None:
        part += f',"gateway.upstream":{_quoted(upstream)}'
    return part


def _show(head: RequestHead) -> tuple[str, str]:
    """Return what is the same in the line of each request with this head.

    The message without its status, and fields. It is kept with the head.
    """
    path = _quoted(head.target.path[:PATH_CHARACTERS])
    short = len(head.method) + len(head.host) <= _SHORT
    method, request = (_request_part if short else _request_part.__wrapped__)(
        head.method, head.host, head.scheme, head.http_version
    )
    shown = (
        f"{method} {path[1:-1]}",
        f',"client.address":{_quoted(head.client)},"url.path":{path}{request}'
        f"{_agent_part(head.user_agent[:AGENT_CHARACTERS])}",
    )
    object.__setattr__(head, "shown", shown)
    return shown


def _rare_part(ended: EndedRequest) -> str:
    """Return fields that few requests have."""
    part = f',"gateway.mode":{_quoted(ended.mode)}' if ended.mode else ""
    if ended.credential:
        part += f',"gateway.credential":{_quoted(ended.credential)}'
    if ended.detail:
        part += f',"error.message":{_quoted(ended.detail)}'
    return part


@lru_cache(_KEPT)
def _request_part(
    method: str, host: str, scheme: str, version: tuple[int, int]
) -> tuple[str, str]:
    """Return the method as the message has it, and the fields with it."""
    quoted = _quoted(method)
    protocol = "1.1" if version == (1, 1) else "1.0"
    return quoted[1:-1], (
        f',"http.request.method":{quoted},"url.domain":{_quoted(host)}'
        f',"url.scheme":{_quoted(scheme)},"network.protocol.version":"{protocol}"'
    )


@lru_cache(_AGENTS_KEPT)
def _agent_part(text: str) -> str:
    return f',"user_agent.original":{_quoted(text)}' if text else ""


def _show_principal(principal: Principal) -> str:
    """Return what is the same in the line of each request of a principal; it is kept there."""
    part = ""
    if principal.identity_id:
        part = (
            f',"user.id":{_quoted(principal.identity_id)}'
            f',"gateway.session.id":{_quoted(principal.session_id or "")}'
        )
        if principal.tenant_id:
            part += f',"organization.id":{_quoted(principal.tenant_id)}'
    object.__setattr__(principal, "shown", part)
    return part


@lru_cache(maxsize=2)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _console_fields(ended: EndedRequest, duration: float) -> EventDict:
    """Return the fields for a terminal."""
    head = ended.received_head
    target = "- -" if head is None else f"{head.method} {head.target.path}"
    fields: EventDict = {
        "@timestamp": datetime.fromtimestamp(ended.now, UTC)
        .isoformat()
        .replace("+00:00", "Z"),
        "log.level": "info",
        "message": f"{target} {ended.status}",
        "decision": f"{ended.verdict}/{ended.reason}",
        "error": ended.detail,
        "ms": round(duration * 1000, 1),
        "mode": ended.mode,
        "credential": ended.credential,
        "route": None if ended.route is None else ended.route.id,
        "upstream": ended.upstream,
        "user": ended.principal.identity_id,
        "tenant": ended.principal.tenant_id,
    }
    return {key: value for key, value in fields.items() if value not in ("", None)}
