"""Who is asking: the one place where a cookie becomes an authentication.

The way of a request and every endpoint of ours ask here, so that a cookie means the
same in all of them.
"""

from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.server.serving import Serving
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Anonymous, Authentication, authenticate
from gateway.sessions.cookie import (
    Malformed,
    NoCookie,
    SessionToken,
    read_session_token,
)


def credential_of(head: RequestHead, serving: Serving) -> SessionToken | Anonymous:
    """Read the session token of a request, or say why nobody is signed in; pure."""
    match read_session_token(head.cookies, serving.cookie_name):
        case SessionToken() as token:
            return token
        case NoCookie():
            return Anonymous(reason=Reason.NO_SESSION)
        case Malformed(reason=reason):
            return Anonymous(reason=reason)


async def look_up(
    token: SessionToken, serving: Serving, tools: Tools, now: float
) -> Authentication:
    """Ask the store what a token stands for at `now`, in epoch seconds.

    Raises:
        StoreUnavailable: it could not be found out.
    """
    record = await tools.store.load(token.key)
    return authenticate(record, key=token.key, now=now, policy=serving.lifetimes)


async def caller_of(
    head: RequestHead, serving: Serving, tools: Tools
) -> Authentication:
    """Find out who sent a request, without touching the session.

    Raises:
        StoreUnavailable: it could not be found out.
    """
    token = credential_of(head, serving)
    if isinstance(token, Anonymous):
        return token
    return await look_up(token, serving, tools, tools.edge.now())
