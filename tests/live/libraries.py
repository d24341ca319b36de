"""What differs between the libraries, for a walk that is the same for all."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from tests.docs.snippets import block_of
from tests.live.browser import Browser
from tests.live.running import APPS, EXAMPLES
from tests.walk.harness import ADMIN_TOKEN, Reply

SECRET = "live-XyPq4-3kVb8-sT0wR-secret-of-a-test"


class FormSignIn:
    """An HTML form at /login, another at /logout; Django's have a token against CSRF."""

    async def sign_in(self, browser: Browser, person: Mapping[str, str]) -> Reply:
        page = await browser.get("/login")
        assert page.status == 200
        token = _CSRF(page.body.decode())
        fields = {"csrfmiddlewaretoken": token[1]} if token else {}
        return await browser.post_form(
            "/login", username=person["email"], password=person["password"], **fields
        )

    async def sign_out(self, browser: Browser) -> Reply:
        token = browser.cookies.get("csrftoken")
        fields = {"csrfmiddlewaretoken": token} if token else {}
        return await browser.post_form("/logout", **fields)


class BetterAuthSignIn:
    """Better Auth's own API, as its client calls it."""

    async def sign_in(self, browser: Browser, person: Mapping[str, str]) -> Reply:
        return await browser.post_json(
            "/api/auth/sign-in/email",
            {"email": person["email"], "password": person["password"]},
        )

    async def sign_out(self, browser: Browser) -> Reply:
        return await browser.post_json("/api/auth/sign-out", {})


_CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"').search


@dataclass(frozen=True, kw_only=True)
class Library:
    """A login library: its app, its configuration, and how one signs in.

    `keeps_guests`: whether /basket makes a session of nobody.
    `keeps_key`: whether signing out leaves the key in Redis.
    `writes_back`: whether a request in flight brings an ended session back.
    `hashed`: whether the key has a hash of the cookie.
    `heading`: where docs/session-formats.md shows `sessions`, if not as in the example;
    `sessions` is added.
    `aliases`: packages of other versions, by the name under which the app imports them.
    """

    name: str
    example: str
    app: str
    cookie: str
    prefix: str
    signing: FormSignIn | BetterAuthSignIn = field(default_factory=FormSignIn)
    keeps_guests: bool = True
    keeps_key: bool = False
    writes_back: bool = True
    hashed: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    sessions: Mapping[str, Any] = field(default_factory=dict)
    heading: str = ""
    packages: Path = APPS
    aliases: Mapping[str, str] = field(default_factory=dict)

    def key(self, browser: Browser) -> str:
        """Name the key of the browser's session."""
        value = unquote(browser.cookies[self.cookie]).removeprefix("s:")
        session_id = value.rpartition(".")[0] or value
        if self.hashed:
            session_id = hashlib.sha256(session_id.encode()).hexdigest()
        return self.prefix + session_id

    def configuration(self, admin_port: int) -> dict[str, Any]:
        """Give the example's configuration, on a port that is free."""
        path = EXAMPLES / self.example / "gateway.yaml"
        reported: dict[str, Any] = yaml.safe_load(path.read_text())
        server = {"listen": "127.0.0.1:0", "admin": f"127.0.0.1:{admin_port}"}
        reported["server"] |= server | {"admin_token": ADMIN_TOKEN}
        reported["redis"] |= {"timeout": "10s"}  # a busy machine stands still at times
        if self.heading:
            shown = block_of("docs/session-formats.md", self.heading, "yaml")
            reported |= yaml.safe_load(shown)
        reported["sessions"] |= self.sessions
        return reported

    def acl_page(self) -> str:
        """Return the text that shows which user of Redis the gateway needs."""
        page = (EXAMPLES / self.example / "README.md").read_text()
        if f"%R~{self.prefix}*" in page:
            return page
        text = (EXAMPLES.parent / "session-formats.md").read_text()
        return text.replace("%R~better-auth:*", f"%R~{self.prefix}*")


BETTER_AUTH = Library(
    name="better-auth",
    example="better-auth",
    app="better_auth.mjs",
    cookie="better-auth.session_token",
    prefix="better-auth:",
    signing=BetterAuthSignIn(),
    keeps_guests=False,
)
FLASK = Library(
    name="flask-session",
    example="flask-session",
    app="flask_session_app.py",
    cookie="session",
    prefix="session:",
    keeps_key=True,
)
DJANGO = Library(
    name="django",
    example="django",
    app="django_app.py",
    cookie="sessionid",
    prefix=":1:django.contrib.sessions.cache",
    # Its cache engine looks first, and gives such a request a 400.
    writes_back=False,
)
LIBRARIES = (
    BETTER_AUTH,
    Library(
        name="express-session",
        example="express-session",
        app="express_session.mjs",
        cookie="connect.sid",
        prefix="sess:",
    ),
    FLASK,
    DJANGO,
    Library(
        name="django, pickled",
        example="django",
        app=DJANGO.app,
        cookie=DJANGO.cookie,
        prefix=DJANGO.prefix,
        writes_back=False,
        env={"PICKLE": "1"},
        sessions={"allow_pickle": True},
    ),
)


def parameters(*libraries: Library) -> list[object]:
    """One test a library; those of Node are left out where there is none."""
    return [
        pytest.param(
            library,
            id=library.name,
            marks=_NODE if library.app.endswith(".mjs") else (),
        )
        for library in libraries
    ]


_NODE = (pytest.mark.needs("node", "npm"),)
