"""A browser, as far as a sign-in needs one: cookies, navigations, redirects."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.oidc.hostile import HostileProvider
from tests.walk.harness import BROWSER, Gateway, Reply, ask, base_config

CALLBACK = "/.gateway/sign-in/acme/callback"


@dataclass
class Browser:
    """Keeps the cookies of one gateway."""

    gateway: Gateway
    cookies: dict[str, str] = field(default_factory=dict)
    host: str = ""
    """Where it is; "": at the public host."""

    async def get(
        self,
        target: str,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        body: bytes = b"",
    ) -> Reply:
        sent = dict(BROWSER if headers is None else headers)
        if self.cookies:
            pairs = self.cookies.items()
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in pairs)
        public = self.gateway.app.loaded.config.server.public_url
        host = self.host or public.partition("://")[2]
        reply = await ask(self.gateway.port, method, target, sent, body, host=host)
        for cookie in reply.all("Set-Cookie"):
            name, _, rest = cookie.partition("=")
            value = rest.partition(";")[0]
            if "Max-Age=0" in rest:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return reply

    async def begin(self, target: str = "/.gateway/sign-in/acme") -> str:
        """Begin a sign-in; gives the address at the provider."""
        reply = await self.get(target)
        assert reply.status == 302, reply.body
        return reply.present("Location")

    async def sign_in(
        self,
        provider: HostileProvider,
        target: str = "/.gateway/sign-in/acme",
        **more: str,
    ) -> Reply:
        """Go to the provider, be approved there, and come back."""
        query = provider.approve(await self.begin(target), **more)
        return await self.get(f"{CALLBACK}?{query}")

    @property
    def attempts(self) -> list[str]:
        return [name for name in self.cookies if "_attempt_" in name]

    @property
    def session(self) -> str | None:
        return self.cookies.get("gateway_session")

    async def whoami(self) -> dict[str, Any] | None:
        reply = await self.get(
            "/.gateway/sessions/whoami", {"Accept": "application/json"}
        )
        if reply.status != 200:
            return None
        found: dict[str, Any] = reply.json()
        return found


def is_page(reply: Reply, status: int) -> bool:
    """A page of ours: readable, with a request id, and nothing that goes on by itself."""
    body = reply.body.decode()
    return (
        reply.status == status
        and reply.present("Content-Type").startswith("text/html")
        and not reply.all("Location")
        and "http-equiv" not in body
        and "Request <code>" in body
    )


def signing_config(port: int, **providers: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a walk, with these providers and no app that signs in."""
    config = base_config(port)
    # By way of JSON: what is said twice would become an anchor and its alias.
    copied = json.loads(json.dumps(providers))
    config["sign_in"] = {"home": "/dashboard", "providers": copied}
    return config
