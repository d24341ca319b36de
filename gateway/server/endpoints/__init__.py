"""What the gateway answers itself on the public listener, below `/.gateway`.

| path | answers |
| --- | --- |
| `GET /.gateway/jwks.json`, `/.well-known/jwks.json` | the public keys of our tokens |
| `POST /.gateway/logout` | ends the session, clears every cookie of ours |
| `POST /.gateway/tenant` | makes another membership the active tenant |
| `GET /.gateway/account` | page: who I am, my organisations, my devices |
| `POST /.gateway/account/end`, `/end-others` | ends another session, or all others |
| `GET /.gateway/session.js` | script: tells a page when its session ends |
| `GET /.gateway/session` | what the script asks: which session, or why none |
| `/.gateway/sessions…`, `/.gateway/self-service/logout…` | as Ory Kratos; see kratos.py |

These paths come before the routes: no route can shadow them, and what is not in
the table is a 404 and never reaches an upstream.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.server.endpoints.account import account, end, end_others
from gateway.server.endpoints.answered import OwnAnswer
from gateway.server.endpoints.jwks import jwks
from gateway.server.endpoints.kratos import (
    end_other_sessions,
    end_session,
    list_sessions,
    whoami,
)
from gateway.server.endpoints.kratos_logout import create_logout_flow, submit_logout
from gateway.server.endpoints.logout import logout
from gateway.server.endpoints.session_js import session, session_js
from gateway.server.endpoints.tenant import tenant
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving
from gateway.server.story import Story
from gateway.server.tools import Tools

OWN: Final = "/.gateway"
WELL_KNOWN_JWKS: Final = "/.well-known/jwks.json"

Endpoint: TypeAlias = Callable[
    [Exchange, RequestHead, Serving, Story, Tools], Awaitable[OwnAnswer]
]

_TABLE: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "/.gateway/jwks.json": {"GET": jwks},
    WELL_KNOWN_JWKS: {"GET": jwks},
    "/.gateway/logout": {"POST": logout},
    "/.gateway/tenant": {"POST": tenant},
    "/.gateway/account": {"GET": account},
    "/.gateway/account/end": {"POST": end},
    "/.gateway/account/end-others": {"POST": end_others},
    "/.gateway/session.js": {"GET": session_js},
    "/.gateway/session": {"GET": session},
    "/.gateway/sessions": {"GET": list_sessions, "DELETE": end_other_sessions},
    "/.gateway/sessions/whoami": {"GET": whoami},
    "/.gateway/self-service/logout": {"GET": submit_logout},
    "/.gateway/self-service/logout/browser": {"GET": create_logout_flow},
}
_ONE_BELOW: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "/.gateway/sessions": {"DELETE": end_session},
}
"""What is asked of one thing among many, named by the last segment."""


def is_own(path: str) -> bool:
    """Tell whether a canonical path is the gateway's own."""
    return path.startswith(OWN) and path[len(OWN) : len(OWN) + 1] in {"", "/"}


def methods_at(path: str) -> tuple[str, ...]:
    """Name the methods that one of our own paths takes; none where nothing is."""
    methods = _at(path)
    return (*methods, *(("HEAD",) if "GET" in methods else ()))


class Endpoints:
    """Finds the endpoint of a request and lets it answer."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def answer(
        self, exchange: Exchange, head: RequestHead, serving: Serving, story: Story
    ) -> OwnAnswer:
        """Answer a request for one of our own paths.

        Raises:
            StoreUnavailable: the endpoint needs the store and it is away.
        """
        methods = _at(head.target.path)
        if not methods:
            story.reason = Reason.NO_ROUTE
            return OwnAnswer(reply=serving.replies.no_route(head))
        endpoint = methods.get("GET" if head.method == "HEAD" else head.method)
        if endpoint is None:
            story.reason = Reason.METHOD_NOT_ALLOWED
            allowed = methods_at(head.target.path)
            reply = serving.replies.method_not_allowed(head, allowed)
            return OwnAnswer(reply=reply)
        return await endpoint(exchange, head, serving, story, self._tools)


def _at(path: str) -> Mapping[str, Endpoint]:
    named = _TABLE.get(path)
    if named is not None:
        return named
    above, _, last = path.rpartition("/")
    return _ONE_BELOW.get(above, {}) if last else {}
