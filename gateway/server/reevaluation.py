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

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.admitted import Admitted
from gateway.server.context import Services
from gateway.server.runtime import Runtime
from gateway.server.streams import OpenStream
from gateway.sessions.authenticate import Anonymous, Authentication, authenticate
from gateway.spine.reconsider import reconsider

_AT_ONCE: Final = 100
"""Streams whose sessions are looked up in one round trip."""


async def reevaluate_open_streams(runtime: Runtime, services: Services) -> None:
    """End the streams that `runtime` would not let in.

    A stream that cannot be judged while the store is away stays, and is judged the
    next time.
    """
    stale = [
        each for each in services.streams.all() if each.evaluated_by is not runtime
    ]
    for first in range(0, len(stale), _AT_ONCE):
        some = stale[first : first + _AT_ONCE]
        keys = {stream.key for stream in some if stream.key is not None}
        found = await asyncio.gather(*(_who(key, runtime, services) for key in keys))
        known: dict[str | None, Authentication | None]
        known = {None: Anonymous(reason=Reason.NO_SESSION)}
        known.update(zip(keys, found, strict=True))
        for stream in some:
            _judge(stream, known[stream.key], runtime)


def _judge(stream: OpenStream, who: Authentication | None, runtime: Runtime) -> None:
    if who is None or stream.closed or not isinstance(stream.admitted, Admitted):
        return
    reason = refusal_reason(stream.admitted, who, runtime)
    if reason is None:
        stream.evaluated_by = runtime
    else:
        stream.end(reason)


def refusal_reason(
    admitted: Admitted, who: Authentication, runtime: Runtime
) -> Reason | None:
    """Return why `runtime` would not let the request in, or None if it would; pure."""
    context = admitted.context
    head = context.received_head
    if head is None or context.route is None:
        return None
    found = reconsider(head, runtime.rules, who, now=context.now)
    if isinstance(found, Reason):
        return found
    before = context.runtime.applications[context.route.upstream].targets
    after = runtime.applications[found.route.upstream].targets
    if admitted.reconnects and not before <= after:
        return Reason.UPSTREAM_CHANGED
    return None


async def _who(key: str, runtime: Runtime, services: Services) -> Authentication | None:
    now = services.edge.now()
    try:
        record = await services.store.look_again(key, now)
    except StoreUnavailable:
        return None
    return authenticate(record, key=key, now=now, policy=runtime.rules.lifetimes)
