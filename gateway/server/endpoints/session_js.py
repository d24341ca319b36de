"""`GET /.gateway/session.js`, and what it polls: `GET /.gateway/session`."""

import hashlib
from math import ceil
from pathlib import Path
from typing import Final

import orjson

from gateway.pages.reply import Reply
from gateway.reasons import Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.account import look_up
from gateway.server.endpoints.kratos_session import session_view
from gateway.server.endpoints.local_response import LocalResponse
from gateway.sessions.authenticate import Anonymous, end_of_life

_SCRIPT: Final = Path(__file__).with_name("session.js").read_bytes()
_ETAG: Final = f'"{hashlib.sha256(_SCRIPT).hexdigest()[:24]}"'
_IF_NONE_MATCH: Final = b"if-none-match"
_CACHED: Final = (("ETag", _ETAG), ("Cache-Control", "public, max-age=3600"))


async def session_js(context: RequestContext) -> LocalResponse:
    """Return the script; 304 if If-None-Match matches (RFC 9110, section 13.1.2)."""
    if_none_match = b",".join(
        v for n, v in context.head.headers if n.lower() == _IF_NONE_MATCH
    )
    if _matches(if_none_match.decode("latin-1")):
        return LocalResponse(reply=Reply(status=304, headers=_CACHED))
    return LocalResponse(
        reply=Reply(
            status=200,
            headers=(
                ("Content-Type", "text/javascript; charset=utf-8"),
                *_CACHED,
                ("X-Content-Type-Options", "nosniff"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
            ),
            body=_SCRIPT,
        )
    )


async def session(context: RequestContext) -> LocalResponse:
    """Return the session; 401 with the reason without one.

    The body is that of whoami without `devices`, with `session_id`, `tenant_id` and
    `expires_in`: seconds left, for clients whose clock is wrong. The request does not
    count as use of the session. The cookie of an ended session is not cleared, so that
    every tab gets the reason.

    Raises:
        StoreUnavailable: the session could not be queried.
    """
    found = await look_up(context)
    if isinstance(found, Anonymous):
        context.ended_as(Verdict.CHALLENGE, found.reason)
        return LocalResponse(
            reply=context.rules.answers.unauthenticated(
                found.reason, context.head, found.sent
            )
        )
    own = found.session
    lifetimes = context.rules.lifetimes
    view = session_view(own, lifetimes)
    del view["devices"]
    # By the configured roles, so that no client needs a copy of the list.
    admin = not context.rules.policy.admin_roles.isdisjoint(own.identity.roles)
    view["identity"]["metadata_public"]["admin"] = admin
    view["session_id"] = own.id
    view["tenant_id"] = own.active_tenant_id
    # Rounded up: a client that looks at the end should find it ended.
    view["expires_in"] = max(0, ceil(end_of_life(own, lifetimes) - context.now))
    body = orjson.dumps(view)
    headers = (
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return LocalResponse(reply=Reply(status=200, headers=headers, body=body))


def _matches(if_none_match: str) -> bool:
    # Weak comparison (RFC 9110, section 8.8.3.2); the tag contains no comma.
    tags = (tag.strip(" \t").removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in {"*", _ETAG} for tag in tags)
