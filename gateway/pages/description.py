"""The texts of an error for problem+json and HTML: the row of its reason, and a hint."""

from dataclasses import dataclass

from gateway.reasons import ROWS, Action, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The texts of an error: `title` and `reason` for API clients, the others for users."""

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

_HINTS: dict[Action, str] = {
    Action.SIGN_IN: "",
    Action.CHOOSE_TENANT: "This page shows the data of one organization.",
    Action.RETRY: "This is not your fault.",
    Action.HOME: "",
}
_HINTS_BY_STATUS: dict[int, str] = {
    403: "If you need access, contact the administrator of this site.",
    404: "Check the address, or start again from the home page.",
}


def describe(status: int, reason: Reason, detail: str | None = None) -> Description:
    """Return the description of an error; `detail` replaces the reason's sentence.

    A 404 always has the reason `no_route`, so that a hidden route is not disclosed.
    """
    if status == 404:
        reason, detail = Reason.NO_ROUTE, None
    row = ROWS[reason]
    home = row.action is Action.HOME
    hint = _HINTS_BY_STATUS.get(status, "") if home else _HINTS[row.action]
    if reason is Reason.REQUEST_TIMEOUT:
        hint = "Check your connection, then try again."
    if reason is Reason.TOO_MANY_ATTEMPTS:
        hint = "The limit counts all devices that share your address."
    return Description(
        status=status,
        title=PHRASES.get(status, "Error"),
        reason=reason,
        heading=row.heading,
        sentence=row.sentence if detail is None else detail,
        hint=hint,
        action=row.action,
    )
