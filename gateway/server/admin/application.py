"""The admin listener as an aiohttp application; it is not on the hot path.

| path | needs the admin token |
| --- | --- |
| `GET /livez` `/readyz` (`?verbose`) `/metrics` | no: probes and scrapers have none |
| `GET /openapi.json` | no: it says what is here, and nothing of what runs here |
| `POST /admin/sessions` | yes |
| `GET`, `DELETE /admin/sessions/{id}`, `PATCH /admin/sessions/{id}/extend` | yes |
| `GET`, `DELETE /admin/identities/{id}/sessions` | yes |
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Collection
from importlib.resources import files
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.admin.health import Health
from gateway.server.admin.hosts import host_guard
from gateway.server.admin.problem import OF_STATUS, problem
from gateway.server.admin.sessions import SessionApi

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BODY_LIMIT: Final = 64 * 1024
_BODY_WAIT: Final = 10.0
"""Seconds for a body to arrive."""


def admin_application(
    *,
    health: Health,
    sessions: SessionApi,
    metrics: Callable[[str], tuple[bytes, str]],
    token: Callable[[], str | None],
    refused: Callable[[str], int],
    hosts: Callable[[], Collection[str]] = tuple,
) -> web.Application:
    """Build the application.

    Args:
        health: answers the probes.
        sessions: creates, shows and ends sessions.
        metrics: gives the exposition for an Accept value, and its content type.
        token: gives the admin token in force, or None when there is no API.
        refused: told the address of a caller without the token; returns the seconds
            to wait for one that failed too often, else 0.
        hosts: gives the host names that the listener answers to, beside IP addresses,
            localhost and names of one label.
    """
    application = web.Application(
        middlewares=[_problems, host_guard(hosts), _guard(token, refused), _whole_body],
        client_max_size=_BODY_LIMIT,
    )
    application.router.add_get("/livez", health.live)
    application.router.add_get("/readyz", health.ready)
    application.router.add_get("/healthz", health.ready)

    async def scrape(request: web.Request) -> web.Response:
        body, content_type = metrics(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    application.router.add_get("/metrics", scrape)
    described = (files(__package__) / "openapi.json").read_bytes()

    async def describe(_request: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json")

    application.router.add_get("/openapi.json", describe)
    sessions.add_to(application.router)
    return application


def _guard(
    token: Callable[[], str | None], refused: Callable[[str], int]
) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not request.path.startswith("/admin/"):
            return await handler(request)
        expected = token()
        if expected is None:
            return problem(
                403, Reason.NOT_ADMIN, "server.admin_token is not set: there is no API"
            )
        # Two of them are two callers, equal or not: which one counts is a guess.
        credentials = request.headers.getall("Authorization", [])
        scheme, _, given = (credentials[0] if len(credentials) == 1 else "").partition(
            " "
        )
        # A comparison that stops at the first difference tells where it is.
        same = hmac.compare_digest(
            given.strip().encode("utf-8", "surrogateescape"), expected.encode()
        )
        if scheme.lower() != "bearer" or not same:
            if wait := refused(request.remote or ""):
                return problem(429, Reason.TOO_MANY_ATTEMPTS, Retry_After=str(wait))
            return problem(
                401,
                Reason.NOT_ADMIN,
                "this needs the admin token",
                WWW_Authenticate='Bearer realm="gateway admin"',
            )
        return await handler(request)

    return guard


@web.middleware
async def _whole_body(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Read the body in time; it is small, and kept for the handler."""
    if request.can_read_body:
        try:
            async with asyncio.timeout(_BODY_WAIT):
                await request.read()
        except TimeoutError:
            answer = problem(408, Reason.REQUEST_TIMEOUT)
            answer.force_close()
            return answer
    return await handler(request)


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    # What needs no I/O is answered without a pause: a pipeline of such requests would
    # keep every client of the gateway waiting.
    await asyncio.sleep(0)
    try:
        return await handler(request)
    except StoreUnavailable:
        return problem(503, Reason.STORE_UNAVAILABLE, Retry_After="2")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allowed = error.headers.get("Allow")
        return problem(
            error.status,
            OF_STATUS.get(error.status, Reason.BAD_REQUEST),
            **({} if allowed is None else {"Allow": allowed}),
        )
