"""Turns an outcome of the spine into the response that a front proxy understands.

| outcome | forward-auth, ext-authz | auth-request (nginx) |
| --- | --- | --- |
| Forward | 200, the headers for the upstream | the same |
| Redirect | as on the proxy path, Location absolute | 401 with Location |
| Problem 401, 403 | as on the proxy path | the same, without a body |
| Problem, any other 4xx | as on the proxy path | 403 with X-Gateway-Status |
| Problem 5xx | as on the proxy path | the same, without a body |

nginx passes on a 401 and a 403 only, and drops their bodies; any other status is a 500
for its client. A redirect is absolute because Traefik resolves a relative one against
the gateway.
"""

from collections.abc import Sequence
from typing import Final

from gateway.authz.mode import Mode
from gateway.http.head import RequestHead
from gateway.http.memo import Memo
from gateway.outbound import OwnParts, decision_headers
from gateway.pages.pages import Pages
from gateway.pages.reply import Headers, Reply
from gateway.spine.answers import Answer
from gateway.spine.outcome import Forward

_CHALLENGE: Final = "WWW-Authenticate"
_NO_STORE: Final = ("Cache-Control", "no-store")


def allow_reply(mode: Mode, outcome: Forward) -> Reply:
    """Return a 200 with every header that the gateway sets on requests to the upstream.

    Exactly 200, as Envoy denies any other status. A header without a value is empty,
    so that it replaces one that the client sent; Envoy is asked to remove it.
    """
    return _ALLOWED[mode, outcome.view.own_names, outcome.outbound.own]


def _allowed(decision: tuple[Mode, tuple[bytes, ...], OwnParts]) -> Reply:
    mode, own_names, own = decision
    headers: list[tuple[str, str]] = []
    absent: list[str] = []
    for name, content in decision_headers(own_names, own):
        header = name.decode("ascii")
        # The bytes stay: responses are encoded in the same way.
        headers.append((header, content.decode("latin-1")))
        if not content:
            absent.append(header)
    if absent and mode is Mode.EXT_AUTHZ:
        headers.append(("X-Envoy-Auth-Headers-To-Remove", ", ".join(absent)))
    return Reply(status=200, headers=(*headers, _NO_STORE))


def deny_reply(
    mode: Mode, answer: Answer, head: RequestHead | None, pages: Pages, request_id: str
) -> Reply:
    """Return the response to a request that is not allowed; never a 2xx.

    Args:
        mode: the family.
        answer: the answer on the proxy path.
        head: the request that the front proxy asks about; None if it is not valid.
        pages: renders the answer.
        request_id: shown in the page.
    """
    reply = pages.render(answer, request_id)
    if head is not None:
        reply = _absolute(reply, head)
    if mode is not Mode.AUTH_REQUEST:
        return reply
    kept = tuple(
        field for field in reply.headers if field[0].lower() not in _OF_THE_BODY
    )
    status = ("X-Gateway-Status", str(reply.status))
    headers = (*_in_one_field(kept), status)
    return Reply(status=_for_nginx(reply.status), headers=headers)


def _in_one_field(headers: Headers) -> Headers:
    """Return the fields with all challenges in one: nginx passes on the first only.

    A list of them may be in one field (RFC 9110, section 11.6.1).
    """
    challenges = [text for name, text in headers if name == _CHALLENGE]
    if len(challenges) < 2:
        return headers
    others = tuple(field for field in headers if field[0] != _CHALLENGE)
    return (*others, (_CHALLENGE, ", ".join(challenges)))


def cookie_fields(mode: Mode, cookies: Sequence[str]) -> tuple[Sequence[str], Headers]:
    """Return the Set-Cookie values, and the fields that carry the others.

    nginx reads the first Set-Cookie of a decision; since 1.23 it reads all of them,
    joined by a comma into one that no browser parses. So the others are sent to it
    as X-Gateway-Set-Cookie-2 and so on.
    """
    if mode is not Mode.AUTH_REQUEST or len(cookies) <= 1:
        return cookies, ()
    others = enumerate(cookies[1:], start=2)
    return cookies[:1], tuple(
        (f"X-Gateway-Set-Cookie-{number}", text) for number, text in others
    )


def _for_nginx(status: int) -> int:
    if status < 400:
        return 401
    return 403 if status < 500 and status != 401 else status


def _absolute(reply: Reply, head: RequestHead) -> Reply:
    """Return the reply with a Location that names scheme and host.

    They are those of the request, against which a browser resolves a path.
    """
    origin = f"{head.scheme}://{head.authority}"
    headers: Headers = tuple(
        (name, origin + text if name == "Location" and text.startswith("/") else text)
        for name, text in reply.headers
    )
    return Reply(status=reply.status, headers=headers, body=reply.body)


def _size(decision: tuple[Mode, tuple[bytes, ...], OwnParts]) -> int:
    cookie, _, granted = decision[2]
    return len(cookie or b"") + len(granted) + _HEADERS_BYTES


# A session at one upstream is sent the same headers until its token is signed again.
_HEADERS_BYTES: Final = 512
_ALLOWED: Final = Memo(_allowed, entries=4096, longest=4096, size=_size)
_OF_THE_BODY: Final = frozenset(
    (
        "content-type",
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "x-frame-options",
    )
)
