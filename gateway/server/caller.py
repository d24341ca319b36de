"""Who is asking: the one place where a cookie becomes an authentication.

The way of a request and every endpoint of ours ask here, so that a cookie means the
same in all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.server.guessing import count_failed_session
from gateway.server.serving import Serving
from gateway.server.tools import Tools
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    Authentication,
    authenticate,
)
from gateway.sessions.cookie import (
    Malformed,
    NoCookie,
    SessionToken,
    read_session_token,
    strip_cookie,
)
from gateway.sessions.formats.credential import (
    Credential,
    other_credential,
    read_credential,
)
from gateway.sessions.store import Held

_BY_THE_CLOCK: Final = (Reason.SESSION_EXPIRED, Reason.SESSION_IDLE)


def credential_of(head: RequestHead, serving: Serving) -> Held | Anonymous:
    """Read the session cookie of a request, or say why nobody is signed in; pure.

    With the sessions of an app, a header beside the cookie that the app would take
    for another session leaves nobody signed in: two readers, two people.
    """
    foreign = serving.foreign
    found = (
        read_session_token(head.cookies, serving.cookie_name)
        if foreign is None
        else read_credential(foreign, head.cookies)
    )
    match found:
        case SessionToken() as token:
            return token
        case NoCookie():
            return Anonymous(reason=Reason.NO_SESSION)
        case Malformed(reason=reason):
            return Anonymous(reason=reason)
        case Credential() as credential:
            if other_credential(credential.profile, head.headers) is not None:
                return Anonymous(reason=Reason.TWO_CREDENTIALS)
            return credential


def presented(head: RequestHead, serving: Serving, tools: Tools) -> Held | Anonymous:
    """Read the session cookie as `credential_of`, and count a forged one.

    Raises:
        TooManyAttempts: the address has shown too many.
    """
    found = credential_of(head, serving)
    if isinstance(found, Anonymous):
        count_failed_session(found, None, head, serving, tools)
    return found


async def look_up(
    held: Held, head: RequestHead, serving: Serving, tools: Tools, now: float
) -> Authentication:
    """Ask the store what a cookie stands for at `now`, in epoch seconds.

    Raises:
        StoreUnavailable: it could not be found out.
        TooManyAttempts: it is unknown, and its address has shown too many.
    """
    key = held.key
    record = await tools.store.look_up(held, now)
    now = tools.ended.at_least(key, now)
    found = authenticate(record, key=key, now=now, policy=serving.lifetimes)
    if isinstance(found, Anonymous) and found.reason in _BY_THE_CLOCK:
        if tools.edge.clock.doubted():
            # Refused, but not for good: the step may be undone in a minute.
            return Anonymous(reason=found.reason)
        tools.ended.note(key, now)
    if isinstance(found, Anonymous):
        count_failed_session(found, key, head, serving, tools)
    return found


async def caller_of(
    head: RequestHead, serving: Serving, tools: Tools
) -> Authentication:
    """Find out who sent a request, without touching the session.

    Raises:
        StoreUnavailable: it could not be found out.
        TooManyAttempts: as `look_up`.
    """
    held = presented(head, serving, tools)
    if isinstance(held, Anonymous):
        return held
    return await look_up(held, head, serving, tools, tools.edge.now())


def cookies_to_forward(
    head: RequestHead, authentication: Authentication, serving: Serving
) -> Sequence[bytes]:
    """Give the cookies that an upstream may see, as far as the session decides; pure.

    An app that reads its own session cookie must not find somebody there whom the
    gateway found to be nobody. What it would take for nobody as well, it may see.
    """
    if serving.foreign is None or isinstance(authentication, Authenticated):
        return head.cookies
    match _WITHHELD.get(authentication.reason):
        case None:
            return head.cookies
        case "all":
            return ()
        case _:
            left = strip_cookie(head.cookies, frozenset((serving.cookie_name,)))
            return () if left is None else (left,)


# Reason -> what an app is not shown; any other: nothing. A cookie that parsers read
# differently cannot be cut out for all of them, so none of the request's goes on.
_WITHHELD: Final[Mapping[Reason, str]] = {
    Reason.MALFORMED: "all",
    Reason.BAD_SIGNATURE: "session",
    Reason.TWO_CREDENTIALS: "session",
    Reason.SESSION_REVOKED: "session",
    Reason.STORE_UNAVAILABLE: "session",
    # Fetch, section 3.3: a genuine one has no cookie.
    Reason.PREFLIGHT: "session",
}
