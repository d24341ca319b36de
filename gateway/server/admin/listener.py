"""The admin listener's connections: aiohttp's, but for the words of what fails.

aiohttp's own page says what it could not parse. Ours echoes nothing.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.reasons import Reason
from gateway.server.admin.problem import problem

Crashed: TypeAlias = Callable[[BaseException | None], None]
"""Told of an exception that nobody expected."""
_NO_LOG: Final = cast("Any", None)
"""aiohttp writes no access lines; its signature does not know that one may want none."""


class AdminRunner(web.AppRunner):
    """Runs the application on connections of our own."""

    __slots__ = ("_report",)

    def __init__(self, application: web.Application, *, report: Crashed) -> None:
        """Take the application, and who is told of what fails in it."""
        super().__init__(application, access_log=None)
        self._report = report

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, self._report)


class _Server(web.Server):
    def __init__(self, made: web.Server, report: Crashed) -> None:
        super().__init__(
            made.request_handler, request_factory=made.request_factory, access_log=None
        )
        self._report = report

    def __call__(self) -> RequestHandler:
        return _Connection(self, self._report)


class _Connection(RequestHandler):
    __slots__ = ("_report",)

    def __init__(self, server: _Server, report: Crashed) -> None:
        super().__init__(server, loop=server._loop, access_log=_NO_LOG)  # noqa: SLF001
        self._report = report

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """Answer what could not be parsed, or what a handler failed at."""
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if failed:
            self._report(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: there is no place for another")
        answer = problem(status, Reason.INTERNAL if failed else Reason.BAD_REQUEST)
        answer.force_close()
        return answer

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, without the versions of Python and aiohttp."""
        resp.headers["Server"] = "gateway"
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *_args: Any, **kw: Any) -> None:
        """Hand what aiohttp would log to the gateway's own log."""
        self._report(kw.get("exc_info"))
