"""Runs Keycloak or Ory Hydra on loopback, and a gateway that signs users in with it."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from playwright.sync_api import Page

from gateway.sessions.record import Session
from tests.browser.running import Running, serving
from tests.idp.programs import hydra_binary, keycloak_archive
from tests.oidc.hostile import provider_config
from tests.oidc.test_membership_walk import KEY, age, session_of, settled
from tests.oidc.walking import Browser
from tests.servers import PATIENCE, free_port, valkey_server
from tests.walk.harness import Seen

HERE = Path(__file__).parent
SECRET = "gateway-secret-0123456789abcdef0123"
START = 400.0
"""Seconds: Keycloak builds itself at the first start."""


@dataclass
class Provider:
    """A running provider, and where its administration is."""

    issuer: str
    admin: str
    gateway: str
    processes: list[subprocess.Popen[bytes]]
    token: str = field(default="", repr=False)

    def call(self, method: str, path: str, body: object = None, **form: str) -> Any:
        """Call the administration; gives the JSON of the answer."""
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        if form:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            data = urlencode(form).encode()
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = Request(self.admin + path, data, headers, method=method)
        with urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def kill(self) -> None:
        """End it as a power cut does."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(
    argv: list[str], log: Path, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            argv, env=env, stdout=output, stderr=output, process_group=0
        )


def _wait(url: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START
    while True:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            alive = process.poll() is None and time.monotonic() < until
            assert alive, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)


@contextmanager
def keycloak(folder: Path) -> Iterator[Provider]:
    """Run Keycloak with the realm of the tests."""
    with zipfile.ZipFile(keycloak_archive()) as archive:
        archive.extractall(folder)
    (home,) = folder.glob("keycloak-*")
    gateway = f"http://127.0.0.1:{free_port()}"
    realm = (HERE / "realm.json").read_text(encoding="utf-8")
    imported = home / "data" / "import"
    imported.mkdir(parents=True)
    (imported / "realm.json").write_text(realm.replace("GATEWAY", gateway))
    port, management, log = free_port(), free_port(), folder / "log"
    admin = {
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin",
    }
    process = _start(
        ["sh", str(home / "bin" / "kc.sh"), "start-dev", "--import-realm"]
        + ["--http-host", "127.0.0.1", "--http-port", str(port)]
        + ["--http-management-port", str(management)],
        log,
        dict(os.environ) | admin,
    )
    url = f"http://127.0.0.1:{port}"
    found = Provider(f"{url}/realms/acme", url, gateway, [process])
    try:
        _wait(f"{found.issuer}/.well-known/openid-configuration", log, process)
        yield found
    finally:
        found.kill()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def hydra(folder: Path) -> Iterator[Provider]:
    """Run Ory Hydra in memory, with pages for signing in."""
    public, admin, pages = free_port(), free_port(), free_port()
    here, log = f"http://127.0.0.1:{pages}", folder / "log"
    gateway = f"http://127.0.0.1:{free_port()}"
    settings = {
        "dsn": "memory",
        "log": {"level": "warn"},
        "serve": {
            "public": {"host": "127.0.0.1", "port": public},
            "admin": {"host": "127.0.0.1", "port": admin},
            "cookies": {"same_site_mode": "Lax"},
        },
        "urls": {
            "self": {"issuer": f"http://127.0.0.1:{public}"},
            **{page: f"{here}/{page}" for page in ("login", "consent", "logout")},
            "error": f"{here}/error",
        },
        "secrets": {"system": ["test-system-secret-0123456789"]},
        "oauth2": {"pkce": {"enforced": True}},
        "ttl": {"access_token": "5m", "id_token": "1h", "refresh_token": "24h"},
    }
    file = folder / "hydra.json"
    file.write_text(json.dumps(settings))
    url = f"http://127.0.0.1:{admin}"
    argv = [str(hydra_binary()), "serve", "all", "--dev", "--sqa-opt-out"]
    server = _start([*argv, "-c", str(file)], log, os.environ)
    side = _start(
        [sys.executable, str(HERE / "hydra_pages.py"), str(pages), url], log, os.environ
    )
    found = Provider(settings["urls"]["self"]["issuer"], url, gateway, [server, side])  # type: ignore[index]
    try:
        _wait(f"{url}/health/ready", log, server)
        place = f"{gateway}/.gateway/sign-in/acme"
        client = {
            "client_id": "gateway",
            "client_secret": SECRET,
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "scope": "openid offline_access profile email",
            "redirect_uris": [f"{place}/callback"],
            "post_logout_redirect_uris": [f"{gateway}/.gateway/signed-out"],
            "backchannel_logout_uri": f"{place}/backchannel-logout",
            "backchannel_logout_session_required": True,
        }
        found.call("POST", "/admin/clients", client)
        yield found
    finally:
        found.kill()


async def ended(browser: Browser) -> None:
    """Wait until the session has ended: Hydra sends its logout tokens in its own time."""
    async with asyncio.timeout(PATIENCE):
        while (await session_of(browser)).active:
            await asyncio.sleep(0.05)


async def greets(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer with what the app is sent of the user."""
    names = ("X-Auth-User-Id", "X-Auth-Email", "X-Auth-Role")
    stated = " ".join(seen.one(name) or "-" for name in names)
    body = f"<!doctype html><title>app</title><h1>{stated}</h1>".encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    await writer.drain()


@contextmanager
def gateway_for(provider: Provider, folder: Path, **how: Any) -> Iterator[Running]:
    """Run a gateway that signs users in with a provider."""

    def change(config: dict[str, Any]) -> None:
        config["server"] |= {
            "listen": provider.gateway.removeprefix("http://"),
            "public_url": provider.gateway,
        }
        acme = provider_config(
            provider.issuer,
            client_secret=SECRET,
            refresh="15m",
            timeout="20s",
            aal={"aal2": "mfa"},
            **how,
        )
        for route in config["routes"]:
            if "accept" in how and route["match"] == "/dashboard/**":
                route["credentials"] = ["cookie", "bearer"]
        config["sign_in"] = {
            "home": "/dashboard",
            "providers": {"acme": acme},
            "encryption_keys": [{"id": "k1", "key": KEY}],
        }

    with (
        valkey_server(folder) as redis,
        serving(greets, folder, redis.url, change) as running,
    ):
        yield running


@dataclass
class Person:
    """A person with a browser, and what the gateway knows of the session."""

    page: Page
    running: Running

    @property
    def browser(self) -> Browser:
        cookies = {each["name"]: each["value"] for each in self.page.context.cookies()}
        return Browser(self.running.gateway, cookies)

    @property
    def session(self) -> Session:
        found: Session = self.running.do(session_of, self.browser)
        return found

    def wait_until_ended(self) -> None:
        """Wait until the provider has ended the session."""
        self.running.do(ended, self.browser)

    def renew(self) -> None:
        """Let the membership grow old, and renew it by a request."""
        self.running.do(age, self.browser)
        self.page.goto("/dashboard")
        self.running.do(settled, self.running.gateway)
