"""What is open is judged again after a reload: by the routes and rules of now.

A stream was let in once, by the configuration of its beginning. It ends when the new
one would not let it in. What its request said, and how long ago the person had signed
in, count as they were then; the session counts as it is now.

| since it was let in | the stream ends with | a WebSocket closes with |
| --- | --- | --- |
| its route is gone | `no_route`, `misdirected`, `method_not_allowed` | 1008 |
| its route asks for more, or the session has less | the reason of the refusal | 1008 |
| a target of its upstream is gone, or it leads to another one | `upstream_changed` | 1012 |

`upstream_changed` ends WebSockets and event streams, whose clients connect again. Any
other body has an end of its own, and goes on to it.
"""

import asyncio
from typing import Final

from gateway.decision import Allow, decide
from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.routes.table import Match, MethodNotAllowed
from gateway.server.admitted import Admitted
from gateway.server.serving import Serving
from gateway.server.streams import OpenStream
from gateway.server.tools import Tools
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    Authentication,
    authenticate,
)
from gateway.tenants import resolve_tenant

_AT_ONCE: Final = 100
"""Streams whose sessions are asked for in one round trip."""


async def judge_open_streams(serving: Serving, tools: Tools) -> None:
    """End the streams that `serving` would not let in.

    What cannot be judged while the store is away stays, and is judged the next time.
    """
    stale = [each for each in tools.streams.all() if each.judged_by is not serving]
    for first in range(0, len(stale), _AT_ONCE):
        some = stale[first : first + _AT_ONCE]
        keys = {stream.key for stream in some if stream.key is not None}
        found = await asyncio.gather(*(_who(key, serving, tools) for key in keys))
        known: dict[str | None, Authentication | None]
        known = {None: Anonymous(reason=Reason.NO_SESSION)}
        known.update(zip(keys, found, strict=True))
        for stream in some:
            _judge(stream, known[stream.key], serving)


def _judge(stream: OpenStream, who: Authentication | None, serving: Serving) -> None:
    if who is None or stream.closed or not isinstance(stream.admitted, Admitted):
        return
    reason = why_not(stream.admitted, who, serving)
    if reason is None:
        stream.judged_by = serving
    else:
        stream.end(reason)


def why_not(admitted: Admitted, who: Authentication, serving: Serving) -> Reason | None:
    """Return why `serving` would not let the request in, or None if it would; pure."""
    story = admitted.story
    head = story.head
    if head is None or story.route is None:
        return None
    matched = serving.routes.match(
        head.method, head.host, head.target.path, head.preflight_method
    )
    if not isinstance(matched, Match):
        if isinstance(matched, MethodNotAllowed):
            return Reason.METHOD_NOT_ALLOWED
        known = serving.routes.knows(head.host)
        return Reason.NO_ROUTE if known else Reason.MISDIRECTED
    route = matched.route
    if not head.target.escapes <= route.path_allows:
        return Reason.BAD_TARGET
    if route.session_ignored:
        who = Anonymous(reason=Reason.NO_SESSION)
    decision = decide(
        route=route,
        authentication=who,
        tenant=(
            resolve_tenant(who.session, head, serving.tenant_sources)
            if isinstance(who, Authenticated)
            else None
        ),
        head=head,
        now=story.now,
        policy=serving.policy,
    )
    if not isinstance(decision, Allow):
        return decision.reason
    before = admitted.serving.applications[story.route.upstream].targets
    after = serving.applications[route.upstream].targets
    if admitted.reconnects and not before <= after:
        return Reason.UPSTREAM_CHANGED
    return None


async def _who(key: str, serving: Serving, tools: Tools) -> Authentication | None:
    now = tools.edge.now()
    try:
        record = await tools.store.look_again(key, now)
    except StoreUnavailable:
        return None
    return authenticate(record, key=key, now=now, policy=serving.lifetimes)
