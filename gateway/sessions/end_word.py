"""The `gateway_ended` cookie: why the last session of a browser ended.

An ended session clears its cookie, so only the response that found the end has its
reason. If a script's request found it, the next navigation would be redirected with
`no_session`. The cookie keeps the word for a few minutes, for every later reader: the
redirect to sign in, problem bodies, session.js, and `X-Auth-Status`.

It contains only the word, and is read only without a session cookie. A forged one
changes which of three sentences the sign-in page shows, so upstreams may see and set it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.reasons import Reason
from gateway.sessions.cookie import CookieSpec

NAME: Final = "gateway_ended"
_WIRE_NAME: Final = NAME.encode("ascii")
LIFETIME: Final = 300
"""Seconds. Long enough for the tabs that look when they become visible, and short enough
that the next user of a shared computer does not see it."""

_WORDS: Final[Mapping[bytes, Reason]] = {
    reason.value.encode("ascii"): reason
    for reason in (
        Reason.SESSION_EXPIRED,
        Reason.SESSION_IDLE,
        Reason.SESSION_REVOKED,
    )
}
ENDS: Final = frozenset(_WORDS.values())
"""The reasons that the cookie can have: there was a session, and it ended."""


def read_end(cookie_fields: Sequence[bytes]) -> Reason | None:
    """Return the reason in the cookie; None without one, or if two disagree."""
    found: Reason | None = None
    for cookie_field in cookie_fields:
        if _WIRE_NAME not in cookie_field:
            continue
        for pair in cookie_field.split(b";"):
            name, _, value = pair.strip(b" \t").partition(b"=")
            if name != _WIRE_NAME:
                continue
            reason = _WORDS.get(value)
            if reason is None or found not in {None, reason}:
                return None
            found = reason
    return found


def end_cookies(spec: CookieSpec) -> dict[Reason, str]:
    """Return the Set-Cookie value for each reason."""
    return {
        reason: f"{NAME}={reason.value}{spec.attributes}; Max-Age={LIFETIME}"
        for reason in ENDS
    }


def forget_end(spec: CookieSpec) -> str:
    """Return the Set-Cookie value that removes the cookie."""
    return f"{NAME}={spec.attributes}; Max-Age=0"
