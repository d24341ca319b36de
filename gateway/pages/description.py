"""One refusal in words: what problem+json and HTML both say.

Both tables are total: every `Reason` has a row in `ROWS` and a sentence.
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.reasons import SENTENCES, Reason


class Action(StrEnum):
    """What the reader can do next."""

    SIGN_IN = "sign_in"
    CHOOSE_TENANT = "choose_tenant"
    RETRY = "retry"
    HOME = "home"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A refusal, told for programs (`title`, `reason`) and people (the others)."""

    status: int
    title: str
    reason: Reason
    heading: str
    sentence: str
    hint: str
    action: Action


# The names of RFC 9110, section 15 and RFC 6585; `http.HTTPStatus` still has older
# ones in Python 3.11.
PHRASES: dict[int, str] = {
    200: "OK",
    302: "Found",
    303: "See Other",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    421: "Misdirected Request",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}

_ENDED = "Your session has ended"
_NO_ACCESS = "You don\N{RIGHT SINGLE QUOTATION MARK}t have access"
_UNREADABLE = "This request can\N{RIGHT SINGLE QUOTATION MARK}t be read"
_NOT_ANSWERING = "The application isn\N{RIGHT SINGLE QUOTATION MARK}t answering"
_NOT_POSSIBLE = "This isn\N{RIGHT SINGLE QUOTATION MARK}t possible here"

# reason: the status it usually comes with, the heading of the page, what to do next.
ROWS: dict[Reason, tuple[int, str, Action]] = {
    Reason.PUBLIC: (200, "Open to everyone", Action.HOME),
    Reason.SIGNED_IN: (200, "You are signed in", Action.HOME),
    Reason.NOT_SIGNED_IN: (200, "You are not signed in", Action.HOME),
    Reason.PREFLIGHT: (200, "Preflight", Action.HOME),
    Reason.GATEWAY: (200, "Done", Action.HOME),
    Reason.NO_SESSION: (401, "Please sign in", Action.SIGN_IN),
    Reason.MALFORMED: (401, "Please sign in again", Action.SIGN_IN),
    Reason.BAD_SIGNATURE: (401, "Please sign in again", Action.SIGN_IN),
    Reason.TWO_CREDENTIALS: (401, "Please sign in again", Action.SIGN_IN),
    Reason.UNKNOWN_SESSION: (401, "Please sign in again", Action.SIGN_IN),
    Reason.SESSION_UNREADABLE: (401, "Please sign in again", Action.SIGN_IN),
    Reason.SESSION_EXPIRED: (401, _ENDED, Action.SIGN_IN),
    Reason.SESSION_IDLE: (401, _ENDED, Action.SIGN_IN),
    Reason.SESSION_REVOKED: (401, _ENDED, Action.SIGN_IN),
    Reason.NOT_ADMIN: (403, _NO_ACCESS, Action.HOME),
    Reason.ROLE_MISSING: (403, _NO_ACCESS, Action.HOME),
    Reason.TENANT_MISSING: (403, "Which organisation?", Action.CHOOSE_TENANT),
    Reason.TENANT_CONFLICT: (403, "Which organisation?", Action.HOME),
    Reason.TENANT_ROLE_MISSING: (403, _NO_ACCESS, Action.HOME),
    Reason.NOT_A_MEMBER: (403, _NO_ACCESS, Action.HOME),
    Reason.STEP_UP: (403, "Is it still you?", Action.SIGN_IN),
    Reason.AAL_TOO_LOW: (403, "One more step", Action.SIGN_IN),
    Reason.ALREADY_SIGNED_IN: (403, "You are signed in", Action.HOME),
    Reason.CROSS_SITE: (403, "This request was stopped", Action.HOME),
    Reason.NETWORK_NOT_ALLOWED: (403, _NO_ACCESS, Action.HOME),
    Reason.SESSION_READ_ONLY: (409, _NOT_POSSIBLE, Action.HOME),
    Reason.NO_ROUTE: (404, "Page not found", Action.HOME),
    Reason.METHOD_NOT_ALLOWED: (405, _NOT_POSSIBLE, Action.HOME),
    Reason.MISDIRECTED: (421, "Wrong address", Action.HOME),
    Reason.BAD_REQUEST: (400, _UNREADABLE, Action.HOME),
    Reason.BAD_TARGET: (400, _UNREADABLE, Action.HOME),
    Reason.BAD_HOST: (400, _UNREADABLE, Action.HOME),
    Reason.BAD_HEADER: (400, _UNREADABLE, Action.HOME),
    Reason.BAD_FRAMING: (400, _UNREADABLE, Action.HOME),
    Reason.BAD_UPGRADE: (501, _NOT_POSSIBLE, Action.HOME),
    Reason.BAD_VERSION: (505, _NOT_POSSIBLE, Action.HOME),
    Reason.BAD_EXPECTATION: (417, _NOT_POSSIBLE, Action.HOME),
    Reason.METHOD_UNKNOWN: (501, _NOT_POSSIBLE, Action.HOME),
    Reason.TARGET_TOO_LONG: (414, "Address too long", Action.HOME),
    Reason.HEADERS_TOO_LARGE: (431, "Request too large", Action.HOME),
    Reason.BODY_TOO_LARGE: (413, "Request too large", Action.HOME),
    Reason.TOO_MANY_ATTEMPTS: (429, "Please wait a moment", Action.RETRY),
    Reason.REQUEST_TIMEOUT: (408, "That took too long", Action.RETRY),
    Reason.BAD_RETURN_TO: (400, "Where to?", Action.HOME),
    Reason.TLS_REQUIRED: (400, _UNREADABLE, Action.HOME),
    Reason.CLIENT_LIMIT: (429, "That was too much at once", Action.RETRY),
    Reason.STORE_UNAVAILABLE: (503, "We will be right back", Action.RETRY),
    Reason.UPSTREAM_UNREACHABLE: (502, _NOT_ANSWERING, Action.RETRY),
    Reason.UPSTREAM_BAD_ANSWER: (502, "The answer was not understood", Action.RETRY),
    Reason.UPSTREAM_TIMEOUT: (504, _NOT_ANSWERING, Action.RETRY),
    Reason.UPSTREAM_BUSY: (503, "We will be right back", Action.RETRY),
    Reason.DRAINING: (503, "We will be right back", Action.RETRY),
    Reason.UPSTREAM_CHANGED: (503, "The application has moved", Action.RETRY),
    Reason.CLIENT_GONE: (400, "The connection was lost", Action.RETRY),
    Reason.INTERNAL: (500, "Something went wrong", Action.RETRY),
}

_HINTS: dict[Action, str] = {
    Action.SIGN_IN: "",
    Action.CHOOSE_TENANT: "What you see here depends on the organisation you work in.",
    Action.RETRY: "Nothing you did caused this.",
    Action.HOME: "",
}
_HINTS_BY_STATUS: dict[int, str] = {
    403: "If you think you should see it, ask the people who run this site.",
    404: "Check the address, or go back to the home page and start from there.",
}


def describe(status: int, reason: Reason, detail: str | None = None) -> Description:
    """Say a refusal in words; `detail` replaces the sentence of the reason.

    A 404 always reads `no_route`: a route that hides behind "not found" must not
    say in the body what it hides.
    """
    if status == 404:
        reason, detail = Reason.NO_ROUTE, None
    _, heading, action = ROWS[reason]
    hint = _HINTS_BY_STATUS.get(status, "") if action is Action.HOME else _HINTS[action]
    if reason is Reason.REQUEST_TIMEOUT:
        hint = "Check your connection, then try again."
    if reason is Reason.TOO_MANY_ATTEMPTS:
        hint = "The limit counts all devices that share your address."
    return Description(
        status=status,
        title=PHRASES.get(status, "Error"),
        reason=reason,
        heading=heading,
        sentence=SENTENCES[reason] if detail is None else detail,
        hint=hint,
        action=action,
    )
