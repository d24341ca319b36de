"""An access line and the counters of a request, built in the most direct way.

What the product joins from prepared parts must equal this.
"""

from datetime import UTC, datetime
from typing import Any

from gateway.observe.access import AGENT_CHARACTERS, PATH_CHARACTERS, EndedRequest

DURATIONS = ("event.duration", "gateway.upstream_duration")


def reference_line(ended: EndedRequest) -> dict[str, Any]:
    """Return the fields of the line, without durations."""
    head = ended.received_head
    fields: dict[str, Any] = {
        "@timestamp": _stamp(ended.now),
        "log.level": "info",
        "event.dataset": "gateway.access",
        "message": f"- - {ended.status}",
        "http.request.id": ended.request_id,
        "http.response.status_code": ended.status,
        "http.response.body.bytes": ended.body_bytes,
        "client.address": ended.peer if head is None else head.client,
        "gateway.decision": ended.verdict.value,
        "gateway.reason": ended.reason.value,
    }
    if head is not None:
        path = head.target.path[:PATH_CHARACTERS]
        fields |= {
            "message": f"{head.method} {path} {ended.status}",
            "http.request.method": head.method,
            "url.path": path,
            "url.domain": head.host,
            "url.scheme": head.scheme,
            "network.protocol.version": ".".join(map(str, head.http_version)),
            "trace.id": ended.traceparent.split("-")[1],
        }
        if head.user_agent:
            fields["user_agent.original"] = head.user_agent[:AGENT_CHARACTERS]
    if ended.route is not None:
        fields["gateway.route"] = ended.route.id
    if ended.upstream is not None:
        fields["gateway.upstream"] = ended.upstream
    if ended.mode:
        fields["gateway.mode"] = ended.mode
    if ended.credential:
        fields["gateway.credential"] = ended.credential
    if ended.detail:
        fields["error.message"] = ended.detail
    principal = ended.principal
    if principal.identity_id:
        fields["user.id"] = principal.identity_id
        fields["gateway.session.id"] = principal.session_id or ""
        if principal.tenant_id:
            fields["organization.id"] = principal.tenant_id
    return {key: _written(value) for key, value in fields.items()}


def _stamp(now: float) -> str:
    moment = datetime.fromtimestamp(int(now), UTC)
    microseconds = int((now - int(now)) * 1e6)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{microseconds:06d}Z"


def _written(value: object) -> object:
    """Text as UTF-8 can hold it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value
