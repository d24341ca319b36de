"""The sample app: a typical app before it is put behind the gateway.

It knows its accounts and has a sign-in form; it checks no session, no cookie and no
role. The request's `X-Auth-…` headers identify the user. All it does for the
gateway is two answers: `X-Gateway-Sign-In` when a password was right, and
`X-Gateway-Sign-Out` on sign-out.
"""

import asyncio
import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jinja2
from aiohttp import WSMsgType, web

from gateway.demo import accounts

TEMPLATES = Path(__file__).parent / "templates"

_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_SENT_BY_GATEWAY = ("x-auth-", "x-forwarded-", "x-request-id", "traceparent")
_WHY = {
    "session_expired": "Your session has expired. Sign in again to go on.",
    "session_idle": "You were away for a while. Sign in again to go on.",
    "session_revoked": "Your session was ended. Sign in again to go on.",
    "no_session": "Sign in to see that page.",
}
_ENDED = {
    "session_expired": "Your session has expired.",
    "session_idle": "You were away for a while, so your session has ended.",
    "session_revoked": "You were signed out from another device.",
    "unavailable": "It cannot be checked whether you are signed in. Try again in a moment.",
}
"""The notice on the public page, by `X-Auth-Status`."""


def sample_app(sign_in: str = "/auth/login") -> web.Application:
    """Build the app; `sign_in` is where its links to sign in lead."""
    _PAGES.globals["sign_in"] = sign_in
    app = web.Application()
    app.add_routes(
        [
            web.get("/", _landing),
            web.get("/auth/login", _login),
            web.post("/auth/login", _sign_in),
            web.get("/auth/onboarding", _onboarding),
            web.post("/sign-out", _sign_out),
            web.get("/dashboard", _dashboard),
            web.get("/admin", _admin),
            web.get("/events", _events),
            web.get("/ws/clock", _clock),
            web.static("/static", TEMPLATES.parent / "static"),
            web.route("*", "/{path:.*}", _not_found),
        ]
    )
    return app


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """The caller according to the identity headers; empty strings if anonymous."""

    id: str
    email: str
    roles: str
    tenant_id: str

    @property
    def account(self) -> accounts.Account | None:
        """What the app itself knows of the visitor."""
        return accounts.account_of(self.id)


def visitor_of(headers: Mapping[str, str]) -> Visitor:
    """Read the identity headers. Values are percent-encoded UTF-8."""
    return Visitor(
        id=unquote(headers.get("X-Auth-User-Id", "")),
        email=unquote(headers.get("X-Auth-Email", "")),
        roles=unquote(headers.get("X-Auth-Role", "")),
        tenant_id=unquote(headers.get("X-Auth-Tenant-Id", "")),
    )


def peek(token: str, now: float) -> dict[str, Any] | None:
    """Return the decoded parts of a JWT, unverified; None if it is not one.

    An app that decides by what a token says verifies it first: see `demo/api.py`.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (json.loads(_unbase64(part)) for part in parts[:2])
        life = claims["exp"] - claims["iat"]
        left = max(0, round(claims["exp"] - now))
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
    return {
        "parts": parts,
        "header": json.dumps(header, indent=2),
        "claims": json.dumps(claims, indent=2),
        "life": life,
        "left": left,
    }


def safe_return_to(value: str) -> str:
    """Return a path on this site: `value` if it is one, else the dashboard."""
    plain = value.isascii() and value.isprintable() and "\\" not in value
    if plain and value.startswith("/") and not value.startswith("//"):
        return value
    return "/dashboard"


async def _landing(request: web.Request) -> web.Response:
    ended = _ENDED.get(request.headers.get("X-Auth-Status", ""), "")
    return _page("landing.html", request, ended=ended)


async def _not_found(request: web.Request) -> web.Response:
    return _page("not_found.html", request, status=404)


async def _login(request: web.Request) -> web.Response:
    return _login_page(request, wrong=False)


async def _sign_in(request: web.Request) -> web.Response:
    form = await request.post()
    account = accounts.check_password(
        str(form.get("email", "")), str(form.get("password", ""))
    )
    if account is None:
        return _login_page(request, wrong=True)
    sign_in = accounts.sign_in_value(account, persistent="keep" in form)
    return_to = safe_return_to(str(form.get("return_to", "")))
    return web.Response(
        status=303, headers={"Location": return_to, "X-Gateway-Sign-In": sign_in}
    )


async def _sign_out(_: web.Request) -> web.Response:
    return web.Response(
        status=303, headers={"Location": "/", "X-Gateway-Sign-Out": "this"}
    )


async def _onboarding(request: web.Request) -> web.Response:
    return_to = safe_return_to(request.query.get("return_to", ""))
    return _page("onboarding.html", request, return_to=return_to)


async def _dashboard(request: web.Request) -> web.Response:
    headers = sorted(
        (name, value)
        for name, value in request.headers.items()
        if name.lower().startswith(_SENT_BY_GATEWAY)
    )
    token = request.headers.get("X-Auth-Assertion", "")
    return _page(
        "dashboard.html", request, headers=headers, token=peek(token, time.time())
    )


async def _admin(request: web.Request) -> web.Response:
    return _page("admin.html", request)


async def _clock(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    while not socket.closed:
        await socket.send_json({"now": _wall_clock()})
        try:
            message = await socket.receive(timeout=1.0)
        except TimeoutError:
            continue
        if message.type in {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED}:
            break
    return socket


async def _events(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    await answer.prepare(request)
    while True:
        await answer.write(f"event: tick\ndata: {_wall_clock()}\n\n".encode())
        await asyncio.sleep(1.0)


def _wall_clock() -> str:
    return datetime.now(UTC).strftime("%H:%M:%S")


def _login_page(request: web.Request, *, wrong: bool) -> web.Response:
    return _page(
        "login.html",
        request,
        status=403 if wrong else 200,
        wrong=wrong,
        why=_WHY.get(request.query.get("reason", ""), ""),
        return_to=safe_return_to(request.query.get("return_to", "")),
    )


def _page(
    template: str, request: web.Request, *, status: int = 200, **values: object
) -> web.Response:
    nonce = secrets.token_urlsafe(16)
    text = _PAGES.get_template(template).render(
        visitor=visitor_of(request.headers),
        accounts=accounts.ACCOUNTS,
        tenants=accounts.TENANTS,
        path=request.path,
        nonce=nonce,
        **values,
    )
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        f"script-src 'nonce-{nonce}'; connect-src 'self'; frame-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return web.Response(
        status=status,
        text=text,
        content_type="text/html",
        headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"},
    )


def _unbase64(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
