"""Responses for connections that have no request: refused, or too slow to send one."""

from gateway.http.head import BadRequest
from gateway.reasons import Reason
from gateway.server.reporting.requests import RequestReporter
from gateway.server.response_head import encode_local_response
from gateway.server.runtime import Runtime
from gateway.server.system import System


def early_error_response(
    refusal: tuple[int, Reason],
    peer: str,
    *,
    runtime: Runtime,
    system: System,
    reporter: RequestReporter,
) -> bytes:
    """Return a complete response, which closes the connection, and log it.

    Args:
        refusal: the status and its reason.
        peer: the address of the client, for the log.
        runtime: the active configuration.
        system: the clock and the random numbers.
        reporter: writes the access line.
    """
    status, reason = refusal
    request_id, now = system.hex(16), system.now()
    answer = runtime.rules.answers.to_bad_request(
        BadRequest(status=status, reason=reason, detail="")
    )
    reply = runtime.pages.render(answer, request_id)
    reporter.connection_rejected(status, reason, request_id, now, peer)
    return encode_local_response(
        reply,
        head_only=False,
        keep_alive=False,
        request_id=request_id,
        set_cookies=(),
        now=now,
    )
