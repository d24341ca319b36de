"""An app, its sign-in app and a gateway process, as a page of docs/apps/ shows them."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Page

from tests.apps.recipe import Recipe
from tests.servers import PATIENCE, free_port

LOGIN = Path(__file__).parent / "login_app.py"
_PAGE_GATEWAY, _PAGE_LOGIN = 8080, 3000
"""The ports that every page uses for the gateway and for the sign-in app."""
_SLOW_START = 4 * PATIENCE


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as a program saw it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def one(self, name: str) -> str | None:
        """Return a field that comes at most once."""
        found = self.all(name)
        assert len(found) <= 1, found
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Stand:
    """What runs: the gateway's port, the app's port behind it, and where they write."""

    port: int
    app_port: int
    folder: Path
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def ask(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        user: str | None = None,
        port: int | None = None,
    ) -> Reply:
        """Send a request as a program; `user` signs in first.

        `port` is that of the gateway; the app's own is another way to it.
        """
        sent = dict(fields or {})
        if user is not None:
            sent["Cookie"] = self.cookie(user)
        line = http.client.HTTPConnection("localhost", port or self.port, timeout=60)
        with line_closed(line):
            line.request(method, target, body or None, sent)
            answer = line.getresponse()
            return Reply(answer.status, answer.getheaders(), answer.read())

    def cookie(self, user: str) -> str:
        """Sign a user in at the sign-in app; returns the Cookie field."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self.ask("POST", "/auth/login", form, f"user={user}".encode())
        assert reply.status == 303, (reply.status, reply.body, self.log())
        set_cookie = reply.one("Set-Cookie")
        assert set_cookie is not None, self.log()
        return set_cookie.partition(";")[0]

    def token(self, identity: str, *options: str) -> str:
        """Create an access token by the command; returns the token."""
        words = ["tokens", "create", "-c", str(self.folder / "gateway.yaml")]
        command = [sys.executable, "-m", "gateway", *words, "--identity", identity]
        done = subprocess.run(
            [*command, "--name", "a test", *options],
            check=False,
            capture_output=True,
            text=True,
        )
        found = re.search(r"gwt_\w+", done.stdout)
        assert found, done.stdout + done.stderr
        return found[0]

    def open(self, page: Page, path: str, user: str) -> None:
        """Open a protected page in a browser, and sign in on the way to it."""
        page.goto(f"{self.url}{path}", wait_until="commit")
        page.wait_for_url("**/auth/login?**")
        page.locator("input[name=user]").fill(user)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/auth/login" not in url, wait_until="commit")

    def log(self) -> str:
        """Return what the gateway and the app have written."""
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-6000:]}"
            for path in sorted(self.folder.glob("*.log"))
        )

    def access_lines(self) -> list[dict[str, Any]]:
        """Return the gateway's log lines."""
        lines = (self.folder / "gateway.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextmanager
def line_closed(line: http.client.HTTPConnection) -> Iterator[None]:
    """Close a connection at the end."""
    try:
        yield
    finally:
        line.close()


@contextmanager
def running(
    recipe: Recipe, folder: Path, redis_url: str, path: str, ready: str = "/"
) -> Iterator[Stand]:
    """Run the app of a page, with `path` as PATH, behind a gateway by the page's YAML.

    `ready` is a path of the app that responds, with whatever status, once it is up.
    """
    ports = {_PAGE_GATEWAY: free_port(), _PAGE_LOGIN: free_port()}
    ports[recipe.port] = free_port()
    config = yaml.safe_load(_moved(recipe.yaml, ports))
    scheme = config["server"]["public_url"].partition(":")[0]
    stand = Stand(ports[_PAGE_GATEWAY], ports[recipe.port], folder, scheme)
    for name, text in recipe.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(_moved(text, ports), encoding="utf-8")
    environment = os.environ | {"PATH": path, "HOME": str(folder)}
    *before, start = (_moved(text, ports) for text in recipe.commands)
    for command in before:
        _done(command, folder, environment)
    with ExitStack() as stack:
        stack.enter_context(
            process(
                [sys.executable, str(LOGIN), str(ports[_PAGE_LOGIN])], stand, "login"
            )
        )
        app = ["bash", "-c", start]
        watched = stack.enter_context(process(app, stand, "app", environment))
        config["server"] |= {"listen": f"127.0.0.1:{stand.port}", "admin": None}
        config["redis"] = {"url": redis_url, "timeout": "10s"}
        (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
        words = [sys.executable, "-m", "gateway", "run", "-c"]
        gateway = [*words, str(folder / "gateway.yaml")]
        ours = stack.enter_context(process(gateway, stand, "gateway"))
        _wait(stand, stand.port, "/.gateway/jwks.json", ours)
        _wait(stand, stand.app_port, ready, watched)
        _wait(stand, ports[_PAGE_LOGIN], "/", watched)
        yield stand


def _moved(text: str, ports: Mapping[int, int]) -> str:
    """Replace the ports of a page by free ones."""
    for old, new in ports.items():
        text = re.sub(rf"\b{old}\b", str(new), text)
    return text


def _done(command: str, folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def process(
    words: list[str],
    stand: Stand,
    name: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with a log of its own; it and its children end with the context."""
    with (stand.folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            words,
            cwd=stand.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(PATIENCE)


def _wait(
    stand: Stand, port: int, target: str, watched: subprocess.Popen[bytes]
) -> None:
    """Ask until there is a response."""
    until = time.monotonic() + _SLOW_START
    while time.monotonic() < until and watched.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            with socket.create_connection(("127.0.0.1", port), 5):
                pass
            stand.ask("GET", target, port=port)
            return
        time.sleep(0.05)
    raise AssertionError(stand.log())
