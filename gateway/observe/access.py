"""One line per request, with the field names of ECS and OpenTelemetry."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from structlog.typing import EventDict

from gateway.observe.logs import LogOutput, json_line
from gateway.reasons import Reason, Verdict

PATH_CHARACTERS: Final = 1024
AGENT_CHARACTERS: Final = 256


@dataclass(slots=True, kw_only=True)
class AccessRecord:
    """The content of an access line. No field can hold a secret.

    `path` is without the query, `session_id` is the public id and never the token;
    `method` is empty when the request line could not be read.
    `started_at` is epoch seconds, `duration` seconds. Not frozen: one is
    created per request, and freezing triples the cost.
    """

    started_at: float
    duration: float
    request_id: str
    status: int
    verdict: Verdict
    reason: Reason
    method: str = ""
    path: str = ""
    host: str = ""
    scheme: str = ""
    protocol: str = "1.1"
    client: str = ""
    user_agent: str = ""
    body_bytes: int = 0
    route: str = ""
    upstream: str = ""
    upstream_duration: float = 0.0
    user_id: str = ""
    tenant_id: str = ""
    session_id: str = ""
    trace_id: str = ""
    error: str = ""


class AccessLog:
    """Writes access lines to the sink of the log, without structlog.

    A closed record has no context, level or secret; processing them would cost more
    than the line.
    """

    def __init__(self, output: LogOutput) -> None:
        self._output = output
        self._write = output.sink.write

    def write(self, record: AccessRecord) -> None:
        """Write one line; never blocks, never raises, whatever a client sent."""
        if self._output.console:
            self._write(self._output.render(_console_fields(record)))
        else:
            self._write(json_line(_fields(record)))


def _fields(record: AccessRecord) -> EventDict:
    """Return the fields; those that do not apply are omitted."""
    method, status = record.method, record.status
    path = record.path[:PATH_CHARACTERS]
    fields: EventDict = {
        "@timestamp": _stamp(record.started_at),
        "log.level": "info",
        "event.dataset": "gateway.access",
        "message": f"{method or '-'} {path or '-'} {status}",
        "event.duration": int(record.duration * 1e9),
        "http.request.id": record.request_id,
        "http.response.status_code": status,
        "http.response.body.bytes": record.body_bytes,
        "network.protocol.version": record.protocol,
        "client.address": record.client,
        # str: orjson is slower for an enum.
        "gateway.decision": str(record.verdict),
        "gateway.reason": str(record.reason),
    }
    if method:
        fields["http.request.method"] = method
        fields["url.path"] = path
        fields["url.domain"] = record.host
        fields["url.scheme"] = record.scheme
        fields["trace.id"] = record.trace_id
        if agent := record.user_agent:
            fields["user_agent.original"] = agent[:AGENT_CHARACTERS]
    if record.route:
        fields["gateway.route"] = record.route
        if record.upstream:
            fields["gateway.upstream"] = record.upstream
            fields["gateway.upstream_duration"] = int(record.upstream_duration * 1e9)
    if record.user_id:
        fields["user.id"] = record.user_id
        fields["gateway.session.id"] = record.session_id
        if record.tenant_id:
            fields["organization.id"] = record.tenant_id
    if record.error:
        fields["error.message"] = record.error[:AGENT_CHARACTERS]
    return fields


def _stamp(at: float) -> str:
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1e6):06}Z"


@lru_cache(maxsize=2)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _console_fields(record: AccessRecord) -> EventDict:
    """Return the fields for a terminal."""
    fields: EventDict = {
        "@timestamp": datetime.fromtimestamp(record.started_at, UTC)
        .isoformat()
        .replace("+00:00", "Z"),
        "log.level": "info",
        "message": f"{record.method or '-'} {record.path or '-'} {record.status}",
        "decision": f"{record.verdict}/{record.reason}",
        "ms": round(record.duration * 1000, 1),
        "route": record.route,
        "upstream": record.upstream,
        "user": record.user_id,
        "tenant": record.tenant_id,
        "error": record.error,
    }
    return {key: value for key, value in fields.items() if value != ""}
