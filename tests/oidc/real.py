"""npm's `oidc-provider`, a certified provider, as a program of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.oidc.walking import Browser
from tests.servers import free_port
from tests.walk.harness import Reply, ask

PACKAGES = Path(__file__).parent / "idp"
SECRET = "gateway-secret-0123456789abcdef0123"


@dataclass
class RealProvider:
    """A running provider, and the address of the gateway that it knows."""

    issuer: str
    gateway: str
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return urlsplit(self.issuer).port or 80

    async def control(self, path: str, **form: str) -> Any:
        """Rotate keys, change a person or a setting."""
        body = urlencode(form).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = await ask(
            self.port, "POST", f"/control/{path}", headers, body, host=self.host
        )
        assert reply.status == 200, reply.body
        return reply.json()

    @property
    def host(self) -> str:
        return urlsplit(self.issuer).netloc


@contextmanager
def real_provider(
    folder: Path, packages: Path, jwks: str | None = None
) -> Iterator[RealProvider]:
    """Run the provider; `packages` is the node_modules with it, `jwks` of `gateway-jwt`."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(packages)
    for source in (PACKAGES / "idp.mjs", PACKAGES / "package.json"):
        shutil.copy(source, folder)
    port, gateway = free_port(), f"http://127.0.0.1:{free_port()}"
    errors = folder / "stderr"
    with errors.open("ab") as stderr:
        process = subprocess.Popen(
            ["node", "idp.mjs", str(port), gateway],
            cwd=folder,
            env={"PATH": os.environ["PATH"]} | ({"RP_JWKS": jwks} if jwks else {}),
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith(b"ready "):
            assert line, errors.read_text()
        yield RealProvider(f"http://127.0.0.1:{port}", gateway, process)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Visitor:
    """A browser at the provider: its cookies, and what it types into the form."""

    def __init__(self, provider: RealProvider, browser: Browser) -> None:
        self.provider = provider
        self.browser = browser
        self.cookies: dict[str, str] = {}
        self.pages: list[str] = []

    async def go(self, method: str, target: str, body: bytes = b"") -> Reply:
        cookie = "; ".join(f"{n}={v}" for n, v in self.cookies.items())
        headers = {"Accept": "text/html"} | ({"Cookie": cookie} if cookie else {})
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        port, host = self.provider.port, self.provider.host
        reply = await ask(port, method, target, headers, body, host=host)
        for each in reply.all("Set-Cookie"):
            name, _, rest = each.partition("=")
            value = rest.partition(";")[0]
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return reply

    async def sign_in(
        self, page: str = "/.gateway/sign-in/acme", login: str = "alice", **form: str
    ) -> Reply:
        """Follow every redirect from the gateway to the provider and back."""
        location = (await self.browser.get(page)).present("Location")
        for _ in range(8):
            if location.startswith(self.provider.issuer):
                location = await self._step(location, login, form)
        assert location.startswith(self.provider.gateway), location
        return await self.browser.get(location.removeprefix(self.provider.gateway))

    async def _step(self, location: str, login: str, form: dict[str, str]) -> str:
        target = location.removeprefix(self.provider.issuer)
        reply = await self.go("GET", target)
        if reply.status == 200:  # the form
            self.pages.append(unescape(reply.body.decode()))
            fields = {"login": login, "password": "pw", "do": "login"} | form
            reply = await self.go("POST", target, urlencode(fields).encode())
        assert reply.status in {302, 303}, reply.body
        found = reply.present("Location")
        return found if "://" in found else self.provider.issuer + found
