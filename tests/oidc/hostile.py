"""An OpenID Connect provider of our own, honest until a test turns one of its knobs.

It keeps nothing of a real provider's care: a code is whatever the test says, and a
token says what `claims` and `sign` make it say.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

SECRET = "of-the-gateway-0123456789abcdef-0123"
CLIENT = "gateway"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, kid: str | None = "one", **more: Any) -> dict[str, Any]:
    """Publish a key; None as kid leaves it out."""
    algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    jwk: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return jwk | ({} if kid is None else {"kid": kid}) | {"use": "sig"} | more


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Write a token with an empty signature, whatever its header says."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), b"")
    return b".".join(map(_encoded, parts)).decode()


def signed(
    key: Any, header: Mapping[str, Any], claims: Mapping[str, Any] | bytes
) -> str:
    """Sign with RS256 or ES256, whatever the header says; bytes are the payload as it is."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signing = b".".join(map(_encoded, (json.dumps(header).encode(), payload)))
    if isinstance(key, rsa.RSAPrivateKey):
        signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(signing, key)
    else:
        signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signing, key)
    return b".".join((signing, _encoded(signature))).decode()


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def at_hash(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass
class HostileProvider:
    """A provider on loopback; every attribute is a knob."""

    port: int = 0
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public_jwk(RSA_KEY)])
    document: dict[str, Any] = field(default_factory=dict)
    """Members that replace those of discovery; None removes one."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Members that replace those of the ID token; None removes one."""
    userinfo: dict[str, Any] = field(default_factory=dict)
    token_answer: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"kid": "one"})
    sign: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    answers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=dict
    )
    """Replaces a whole endpoint: discovery, jwks, token or userinfo."""
    pushed: list[dict[str, str]] = field(default_factory=list)
    """The forms of pushed authorization requests."""
    calls: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    refresh_token: str | None = None
    """The one that is valid; None: it gives none, and accepts none."""
    rotates: bool = True
    """A refresh token is good for one use; a second one ends the grant."""
    used: list[str] = field(default_factory=list)
    """The refresh tokens that were sent, in order."""
    silent: str = "login_required"
    """The error of an answer to `prompt=none`."""
    requested: dict[str, str] = field(default_factory=dict)
    """The parameters of the authorization request that the last code is for."""

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def metadata(self) -> dict[str, Any]:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        } | self.document
        return {name: value for name, value in document.items() if value is not None}

    def approve(self, location: str, **more: str) -> str:
        """Answer an authorization request; gives the query of the answer."""
        self.requested = dict(parse_qsl(urlsplit(location).query))
        if "request_uri" in self.requested:
            assert self.requested["request_uri"] == f"urn:pushed:{len(self.pushed)}"
            self.requested = self.pushed[-1]
        parameters = {
            "code": "a-code",
            "state": self.requested["state"],
            "iss": self.issuer,
        } | more
        from urllib.parse import urlencode

        return urlencode({n: v for n, v in parameters.items() if v != "-"})

    def id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "s-1",
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "nonce": self.requested.get("nonce", ""),
            "email": "ada@example.com",
            "email_verified": True,
            "name": "Ada",
            "sid": "sid-1",
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.sign is not None:
            return self.sign(self.header, claims)
        return jwt.encode(claims, RSA_KEY, "RS256", headers=self.header)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        name = _NAMES.get(request.path, "unknown")
        self.calls.append(name)
        self.headers.append(dict(request.headers))
        if name in self.answers:
            return await self.answers[name](request)
        match name:
            case "discovery":
                return web.json_response(self.metadata())
            case "jwks":
                return web.json_response({"keys": self.keys})
            case "token":
                return await self._token(request)
            case "par":
                form = {n: v[0] for n, v in parse_qs(await request.text()).items()}
                if not self._knows(request, form):
                    return web.json_response({"error": "invalid_client"}, status=401)
                self.pushed.append(form)
                pushed = {"request_uri": f"urn:pushed:{len(self.pushed)}"}
                return web.json_response(pushed | {"expires_in": 60}, status=201)
            case "authorize":
                return self._authorize(request)
            case "userinfo":
                return web.json_response({"sub": "s-1"} | self.userinfo)
            case _:
                return web.Response(status=404)

    def _authorize(self, request: web.Request) -> web.Response:
        """Answer as a browser without a session gets it: a form, or back at once."""
        requested: Mapping[str, str] = request.query
        if "request_uri" in requested:
            requested = self.pushed[-1]
        if (
            requested.get("client_id") != CLIENT
            or "/wrong/" in requested["redirect_uri"]
        ):
            return web.Response(status=400, text="unknown client or redirect URI")
        if requested.get("prompt") != "none":
            return web.Response(text="<form>", content_type="text/html")
        place = f"{requested['redirect_uri']}?error={self.silent}&state={requested['state']}"
        return web.Response(status=302, headers={"Location": place})

    def _knows(self, request: web.Request, form: Mapping[str, str]) -> bool:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        return (
            request.headers.get("Authorization") == f"Basic {basic}"
            or form.get("client_secret") == SECRET
        )

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: v[0] for name, v in parse_qs(await request.text()).items()}
        self.forms.append(form)
        if not self._knows(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        if form.get("grant_type") == "refresh_token":
            return self._refreshed(form["refresh_token"])
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if challenge != self.requested.get("code_challenge"):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return self._tokens()

    def _refreshed(self, sent: str) -> web.Response:
        self.used.append(sent)
        if sent != self.refresh_token:
            self.refresh_token = None  # the grant is dead
            return web.json_response({"error": "invalid_grant"}, status=400)
        if self.rotates:
            self.refresh_token = f"refresh-{len(self.used)}"
        return self._tokens()

    def _tokens(self) -> web.Response:
        answer = {
            "access_token": "an-access-token",
            "token_type": "Bearer",
            "expires_in": 60,
            "id_token": self.id_token(),
            "refresh_token": self.refresh_token,
        } | self.token_answer
        return web.json_response(
            {name: value for name, value in answer.items() if value is not None}
        )


_NAMES = {
    "/.well-known/openid-configuration": "discovery",
    "/authorize": "authorize",
    "/jwks": "jwks",
    "/par": "par",
    "/token": "token",
    "/userinfo": "userinfo",
}


def says(text: str | bytes, status: int = 200, **headers: str) -> Any:
    """An endpoint that answers so, as JSON."""
    body = text.encode() if isinstance(text, str) else text
    headers.setdefault("Content_Type", "application/json")

    async def answer(_request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return answer


def hangs(until: asyncio.Event) -> Any:
    """An endpoint that does not answer before the event."""

    async def answer(_request: web.Request) -> web.Response:
        await until.wait()
        return web.Response(status=500)

    return answer


@asynccontextmanager
async def hostile_provider() -> AsyncIterator[HostileProvider]:
    """Run a provider on a free port of loopback."""
    provider = HostileProvider()
    runner = web.AppRunner(_app(provider), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.port = runner.addresses[0][1]
    try:
        yield provider
    finally:
        await runner.cleanup()


def _app(provider: HostileProvider) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.serve)
    return app


def provider_config(issuer: str, **changes: Any) -> dict[str, Any]:
    """`sign_in.providers.NAME` for a client that this provider knows."""
    return {"issuer": issuer, "client_id": CLIENT, "client_secret": SECRET} | changes
