"""The admin listener as an aiohttp application; it is not on the hot path.

| path | needs the admin token |
| --- | --- |
| `GET`, `OPTIONS /livez` `/readyz` (`?verbose`); `GET /metrics` | no: probes and scrapers have no token |
| `GET /openapi.json` | no: it describes the API, not the deployment |
| `POST /admin/sessions` | yes |
| `GET`, `DELETE /admin/sessions/{id}`, `PATCH /admin/sessions/{id}/extend` | yes |
| `GET`, `DELETE /admin/identities/{id}/sessions` | yes |
| `PATCH /admin/identities/{id}` | yes |
| `POST`, `GET /admin/tokens`, `GET`, `DELETE /admin/tokens/{id}` | yes |
| `GET /admin/identities/{id}/tokens` | yes |
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
from gateway.server.admin.identities import IdentityApi
from gateway.server.admin.problem import OF_STATUS, problem
from gateway.server.admin.sessions import SessionApi
from gateway.server.admin.tokens import TokenApi

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BODY_LIMIT: Final = 64 * 1024
_BODY_WAIT: Final = 10.0
"""Seconds for a body to arrive."""


def admin_application(
    *,
    health: Health,
    sessions: SessionApi,
    identities: IdentityApi,
    tokens: TokenApi,
    metrics: Callable[[str], tuple[bytes, str]],
    token: Callable[[], str | None],
    refused: Callable[[str], int],
    hosts: Callable[[], Collection[str]] = tuple,
) -> web.Application:
    """Build the application.

    Args:
        health: handles the probes.
        sessions: handles the session API.
        identities: handles the identity API.
        tokens: handles the access tokens.
        metrics: returns the exposition for an Accept value, and its content type.
        token: returns the current admin token; None if the API is off.
        refused: called with the address of a client without a valid token; returns
            the seconds to wait after too many failures, else 0.
        hosts: returns the host names that are accepted in addition to IP addresses,
            localhost and names of one label.
    """
    application = web.Application(
        middlewares=[_problems, host_guard(hosts), _guard(token, refused), _whole_body],
        client_max_size=_BODY_LIMIT,
    )
    for path, probe in (
        ("/livez", health.live),
        ("/readyz", health.ready),
        ("/healthz", health.ready),
    ):
        application.router.add_get(path, probe)
        # The method of HAProxy's `option httpchk`, which evaluates the status.
        application.router.add_route("OPTIONS", path, probe)

    async def scrape(request: web.Request) -> web.Response:
        body, content_type = metrics(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    application.router.add_get("/metrics", scrape)
    described = (files(__package__) / "openapi.json").read_bytes()

    async def describe(_request: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json")

    application.router.add_get("/openapi.json", describe)
    sessions.add_to(application.router)
    identities.add_to(application.router)
    tokens.add_to(application.router)
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
        # Two fields are ambiguous, even if they are equal.
        credentials = request.headers.getall("Authorization", [])
        scheme, _, given = (credentials[0] if len(credentials) == 1 else "").partition(
            " "
        )
        # Constant time, so that timing does not reveal the token.
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
    """Read the complete body within `_BODY_WAIT`; aiohttp caches it for the handler."""
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
    # A handler without I/O never yields: a pipeline of such requests would block
    # every client of the gateway.
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
