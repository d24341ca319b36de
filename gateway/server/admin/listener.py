"""Connections of the admin listener: aiohttp's, with the gateway's error responses.

aiohttp's own error page quotes the request. The gateway's problem documents do not.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.reasons import Reason
from gateway.server.admin.problem import problem

Crashed: TypeAlias = Callable[[BaseException | None], None]
"""Called with an unexpected exception."""
_CONNECTIONS: Final = 256
"""Enough for probes, scrapers and API clients, which need one connection each."""
_LINGER: Final = 2.0
"""Seconds for which the unread body of a request is read and discarded."""
_WRITE: Final = 30.0
"""Seconds within which a response must be written."""
_NO_LOG: Final = cast("Any", None)
"""No access log of aiohttp; its type annotation does not allow None."""


class AdminRunner(web.AppRunner):
    """Runs the application on the connections of this module."""

    __slots__ = ("_keepalive", "_report", "_request_headers")

    def __init__(
        self,
        application: web.Application,
        *,
        report: Crashed,
        request_headers: float = 10.0,
        keepalive: float = 75.0,
    ) -> None:
        """Create a runner.

        Args:
            application: the admin application.
            report: called with an exception of a handler.
            request_headers: seconds for the head of a request to arrive.
            keepalive: seconds for the next request to arrive.
        """
        super().__init__(application, access_log=None)
        self._report = report
        self._request_headers = request_headers
        self._keepalive = keepalive

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, self._report, self._request_headers, self._keepalive)


class _Server(web.Server):
    def __init__(
        self,
        made: web.Server,
        report: Crashed,
        request_headers: float,
        keepalive: float,
    ) -> None:
        super().__init__(
            made.request_handler, request_factory=made.request_factory, access_log=None
        )
        self._report = report
        self.request_headers = request_headers
        self.keepalive = keepalive

    def __call__(self) -> RequestHandler:
        return _Connection(self, self._report)


class _Connection(RequestHandler):
    __slots__ = ("_head_begun", "_head_timer", "_report", "_server")

    def __init__(self, server: _Server, report: Crashed) -> None:
        super().__init__(
            server,
            loop=server._loop,  # noqa: SLF001
            access_log=_NO_LOG,
            keepalive_timeout=server.keepalive,
            lingering_time=_LINGER,
        )
        self._server = server
        self._report = report
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_begun = False  # a head has begun

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection; reject it with 503 if the limit is reached."""
        super().connection_made(transport)
        if len(self._server.connections) > _CONNECTIONS:
            self._reject(HTTPStatus.SERVICE_UNAVAILABLE, Reason.UPSTREAM_BUSY)
        else:
            self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel the timer."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data; start the timeout of an incomplete head."""
        super().data_received(data)
        if self._messages or self._current_request is not None:
            self._forget_head()
        elif data:
            self._head_begun = True
            if self._head_timer is None:
                self._expect_head()

    def _expect_head(self) -> None:
        self._head_timer = self._loop.call_later(
            self._server.request_headers, self._on_head_timeout
        )

    def _forget_head(self) -> None:
        self._head_begun = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        if self._head_begun:
            self._reject(HTTPStatus.REQUEST_TIMEOUT, Reason.REQUEST_TIMEOUT)
        else:
            self.force_close()

    def _reject(self, status: HTTPStatus, reason: Reason) -> None:
        body = problem(status, reason).body
        if self.transport is not None and isinstance(body, bytes):
            self.transport.write(
                b"HTTP/1.1 %d %b\r\nContent-Type: application/problem+json\r\n"
                b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
                % (status, status.phrase.encode(), len(body), body)
            )
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """Return the response to an invalid request, or to a failed handler."""
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if failed:
            self._report(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        answer = problem(status, Reason.INTERNAL if failed else Reason.BAD_REQUEST)
        answer.force_close()
        return answer

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response without the versions of Python and aiohttp."""
        resp.headers["Server"] = "gateway"
        try:
            async with asyncio.timeout(_WRITE):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError as error:
            if self.transport is not None:
                self.transport.abort()
            raise ConnectionAbortedError("client write timeout") from error

    def log_exception(self, *_args: Any, **kw: Any) -> None:
        """Pass an exception that aiohttp would log to the gateway's log."""
        self._report(kw.get("exc_info"))
