"""A WebSocket: a byte tunnel after a validated 101, which ends with its session.

Frames are not decoded, so the tunnel changes none of the 117 cases of the Autobahn
test suite.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.proxy.tunnel import Tunnel
from gateway.reasons import Reason
from gateway.server.admitted import Admitted
from gateway.server.context import RequestContext
from gateway.server.response_head import SWITCHING, build_response_head
from gateway.server.streams import OpenStream

_POLICY: Final = 1008
# 1001 "going away"; 1012 "service restart" (IANA registry): reconnect.
_CODES: Final[Mapping[Reason, int]] = {
    Reason.DRAINING: 1001,
    Reason.UPSTREAM_CHANGED: 1012,
}


async def run_tunnel(
    context: RequestContext, tunnel: Tunnel, cookies: Sequence[str]
) -> bool:
    """Send the 101, and forward bytes until one side or the session ends."""
    client, services = context.exchange.client, context.services
    context.status, context.responded = 101, True
    stream = OpenStream(
        key=context.principal.session_key,
        end=_ender(tunnel, context),
        admitted=Admitted(context=context, reconnects=True),
        evaluated_by=context.runtime,
        version=context.principal.session_version,
        started=context.started,
    )
    try:
        client.send(
            build_response_head(
                head=tunnel.take_response_head(),
                rules=context.runtime.responses,
                length=SWITCHING,
                keep_alive=True,
                request_id=context.request_id,
                set_cookies=cookies,
                now=context.now,
            )
        )
        client.switch_to_tunnel(tunnel)
        services.streams.add(stream)
        services.report.stream_opened("websocket")
        try:
            await tunnel.closed()
        finally:
            services.streams.remove(stream)
            services.report.stream_closed("websocket")
    except BaseException:
        tunnel.abort()
        raise
    finally:
        context.body_bytes = tunnel.bytes_down
    return False


def _ender(tunnel: Tunnel, context: RequestContext) -> Callable[[Reason], None]:
    def end(reason: Reason) -> None:
        context.reason = reason
        code = _CODES.get(reason, _POLICY)
        # RFC 6455, section 7.4.1; the reason word is what the front end shows.
        tunnel.close(code, reason.value)

    return end
