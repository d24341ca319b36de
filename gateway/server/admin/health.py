"""`/livez` and `/readyz`: liveness and readiness of the process."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.errors import GatewayError

Check = Callable[[], Awaitable[str | None]]
"""Returns None if the check passes, else a description of the failure."""


class Health:
    """Handles Kubernetes-style probes."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        """Set the readiness checks by name."""
        self._checks = checks

    async def live(self, _request: web.Request) -> web.Response:
        """Return 200; a process that hangs does not respond."""
        return web.Response(text="ok\n")

    async def ready(self, request: web.Request) -> web.Response:
        """Return 200 or 503; `?verbose` lists every check, `?exclude=` skips one."""
        skipped = set(request.query.getall("exclude", []))
        lines, failed = [], False
        for name, check in self._checks.items():
            if name in skipped:
                lines.append(f"[+]{name} excluded: ok")
                continue
            wrong = await _outcome(check)
            failed = failed or wrong is not None
            lines.append(
                f"[+]{name} ok" if wrong is None else f"[-]{name} failed: {wrong}"
            )
        verdict = "not ready" if failed else "ok"
        text = (
            "\n".join([*lines, verdict])
            if "verbose" in request.query or failed
            else verdict
        )
        return web.Response(status=503 if failed else 200, text=text + "\n")


async def _outcome(check: Check) -> str | None:
    try:
        return await check()
    except GatewayError as error:
        return str(error) or type(error).__name__
