"""What a walk does at a gateway before an app: sign in, look, ask the admin."""

from dataclasses import dataclass

import redis.asyncio

from tests.live.browser import Browser
from tests.live.libraries import Library
from tests.live.running import MO
from tests.servers import PATIENCE
from tests.walk.harness import ADMIN_TOKEN, Gateway, Reply, ask


@dataclass
class Live:
    """An app behind a gateway that may read its sessions, and no more."""

    library: Library
    gateway: Gateway
    admin_port: int
    app_port: int
    store: "redis.asyncio.Redis"

    def browser(self) -> Browser:
        return Browser(self.gateway.port)

    def past_the_gateway(self, browser: Browser) -> Browser:
        """The same cookies, at the app itself."""
        return Browser(self.app_port, dict(browser.cookies))

    async def admin(self, method: str, target: str) -> Reply:
        """Ask the admin listener."""
        fields = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        return await ask(self.admin_port, method, target, fields)

    async def report_has_started(self) -> None:
        """Wait until the app holds a session that it will write back."""
        assert await self.store.blpop(["report:started"], PATIENCE * 3)

    async def let_the_report_finish(self) -> None:
        await self.store.rpush("report:finish", "1")


def headers_of(reply: Reply) -> dict[str, str]:
    """Give the header fields that the app says it received, names in lower case."""
    assert reply.status == 200, reply
    pairs = reply.json()["headers"]
    names = [name.lower() for name in pairs[::2]]
    assert len(names) == len(set(names)), names
    return dict(zip(names, pairs[1::2], strict=True))


async def signed_in(live: Live, person: dict[str, str] = MO) -> Browser:
    browser = live.browser()
    reply = await live.library.signing.sign_in(browser, person)
    assert reply.status in (200, 302), reply
    assert live.library.cookie in browser.cookies
    return browser


async def is_anonymous(browser: Browser) -> bool:
    """Whether the gateway sends this browser to sign in, before the app is asked."""
    reply = await browser.get("/dashboard")
    if reply.status == 200:
        return False
    location = reply.one("Location") or ""
    assert (reply.status, location.partition("?")[0]) == (302, "/login"), reply
    return True


def copy_of(browser: Browser) -> Browser:
    """The same cookies at another place, as a thief or a second tab has them."""
    return Browser(browser.port, dict(browser.cookies))
