"""Responses in the format of Ory Kratos, for the Ory SDK.

Errors have the format of Kratos' error writer: one member "error"
with `code`, `status`, `reason`, `message` and, where Kratos has one, an `id`.
"""

from http import HTTPStatus
from typing import Any, Final

import orjson

from gateway.http.head import RequestHead
from gateway.pages.reply import Headers, Reply

SESSION_INACTIVE: Final = "session_inactive"
RETURN_TO_FORBIDDEN: Final = "self_service_flow_return_to_forbidden"
CSRF_VIOLATION: Final = "security_csrf_violation"

_JSON: Final[Headers] = (
    ("Content-Type", "application/json; charset=utf-8"),
    ("Cache-Control", "private, no-cache, no-store, must-revalidate"),
    ("X-Content-Type-Options", "nosniff"),
)
# Kratos' message for each status.
_MESSAGES: Final = {
    400: "The request was malformed or contained invalid parameters",
    401: "The request could not be authorized",
    403: "The requested action was forbidden",
    404: "Unable to locate the resource",
}
_INACTIVE: Final = "request does not have a valid authentication session"


def json_response(document: object, *, extra: Headers = ()) -> Reply:
    """Return 200 with a JSON document."""
    return Reply(status=200, headers=(*_JSON, *extra), body=orjson.dumps(document))


def refused(
    status: int,
    reason: str,
    request_id: str,
    *,
    error_id: str | None = None,
    details: dict[str, str] | None = None,
    extra: Headers = (),
    members: dict[str, Any] | None = None,
) -> Reply:
    """Return an error; `members` are added to the top level."""
    error: dict[str, Any] = {} if error_id is None else {"id": error_id}
    error |= {
        "code": status,
        "status": HTTPStatus(status).phrase,
        "request": request_id,
        "reason": reason,
    }
    if details is not None:
        error["details"] = details
    error["message"] = _INACTIVE if error_id == SESSION_INACTIVE else _MESSAGES[status]
    return Reply(
        status=status,
        headers=(*_JSON, *extra),
        body=orjson.dumps({"error": error, **(members or {})}),
    )


def wants_json(head: RequestHead) -> bool:
    """Return whether the client requests JSON and not HTML."""
    media = {
        entry.partition(";")[0].strip() for entry in head.accept.lower().split(",")
    }
    return "application/json" in media and "text/html" not in media
