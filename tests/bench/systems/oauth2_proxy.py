"""oauth2-proxy with its Redis store and sessions that it made itself.

A provider of OpenID Connect in this process signs its users in, once each, before
anything is measured.
"""

import http.client
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.bench.backends import Backends
from tests.bench.install import Peers
from tests.bench.processes import running, wait_until
from tests.bench.systems.system import System, UnavailableError
from tests.servers import free_port

_CLIENT: Final = "bench"
_LIFETIME: Final = 28_800
_COOKIE: Final = "_oauth2_proxy="


class _Provider(ThreadingHTTPServer):
    """Keys at /jwks and tokens at /token; the code is the user's ID."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def keys(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "k", "use": "sig", "alg": "RS256"}]}

    def tokens(self, user: str) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": user,
            "aud": _CLIENT,
            "email": f"{user}@example.com",
            "email_verified": True,
            "iat": now,
            "exp": now + _LIFETIME,
        }
        signed = jwt.encode(claims, self.key, "RS256", headers={"kid": "k"})
        return {
            "access_token": f"access-{user}",
            "token_type": "Bearer",
            "expires_in": _LIFETIME,
            "id_token": signed,
        }


class _Answers(BaseHTTPRequestHandler):
    server: _Provider

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer(self.server.keys())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(self.server.tokens(urllib.parse.parse_qs(body)["code"][0]))

    def _answer(self, value: dict[str, Any]) -> None:
        body = orjson.dumps(value)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def provider() -> Iterator[str]:
    """Run a provider in this process; yield its issuer."""
    with _Provider() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.issuer
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def oauth2_proxy(backends: Backends, peers: Peers) -> Iterator[System]:
    """Run oauth2-proxy, and sign in as many users as there are sessions."""
    port = free_port()
    with provider() as issuer:
        command = [str(peers.program("oauth2-proxy")), *options(issuer)]
        command += [
            f"--http-address=127.0.0.1:{port}",
            f"--redirect-url=http://127.0.0.1:{port}/oauth2/callback",
            f"--upstream=http://127.0.0.1:{backends.upstream_port}",
            f"--redis-connection-url=redis://127.0.0.1:{backends.redis_port}/1",
        ]
        with running("oauth2-proxy", command, backends.folder) as program:
            started = System(name="oauth2-proxy", port=port, program=program, path="")
            if not wait_until(lambda: started.status("/ping") == 200, program):
                raise UnavailableError(f"it did not start: {program.last_words()}")
            cookies = [sign_in(port, f"u{n}") for n in range(len(backends.tokens))]
            yield System(
                name="oauth2-proxy", port=port, program=program, cookies=cookies
            ).ready()


def options(issuer: str) -> list[str]:
    """Return the options that do not depend on where it listens."""
    return [
        "--provider=oidc",
        f"--oidc-issuer-url={issuer}",
        "--skip-oidc-discovery",
        f"--login-url={issuer}/auth",
        f"--redeem-url={issuer}/token",
        f"--oidc-jwks-url={issuer}/jwks",
        f"--client-id={_CLIENT}",
        "--client-secret=bench",
        "--cookie-secret=0123456789abcdef0123456789abcdef",
        "--cookie-secure=false",
        "--cookie-csrf-per-request=false",
        "--email-domain=*",
        "--session-store-type=redis",
        "--pass-authorization-header=true",
        "--skip-provider-button=true",
        "--insecure-oidc-skip-nonce=true",
    ]


def sign_in(port: int, user: str) -> str:
    """Return the cookie of a new session.

    Raises:
        UnavailableError: the sign-in was refused.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as line:
        line.request("GET", "/oauth2/start?rd=/")
        answer = line.getresponse()
        answer.read()
        to = urllib.parse.urlsplit(answer.getheader("Location") or "")
        state = urllib.parse.parse_qs(to.query).get("state", [""])[0]
        csrf = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        query = urllib.parse.urlencode({"code": user, "state": state})
        line.request("GET", f"/oauth2/callback?{query}", headers={"Cookie": csrf})
        answer = line.getresponse()
        answer.read()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            if cookie.startswith(_COOKIE):
                return cookie.partition(";")[0]
    raise UnavailableError(f"the sign-in of {user} gave {answer.status}")
