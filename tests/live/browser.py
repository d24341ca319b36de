"""A browser without a screen: keeps cookies, follows nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.walk.harness import BROWSER, Reply, ask

ORIGIN = "http://gw.test"


@dataclass
class Browser:
    """One person at one device, who speaks to one port."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, target: str, **fields: str) -> Reply:
        return await self.send("GET", target, {"Sec-Fetch-Site": "none", **fields})

    async def post_form(self, target: str, **values: str) -> Reply:
        fields = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(values).encode()
        return await self.send("POST", target, _FROM_OUR_PAGE | fields, body)

    async def post_json(self, target: str, document: Mapping[str, Any]) -> Reply:
        fields = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Sec-Fetch-Mode": "cors",
        }
        body = json.dumps(document).encode()
        return await self.send("POST", target, _FROM_OUR_PAGE | fields, body)

    async def send(
        self, method: str, target: str, fields: Mapping[str, str], body: bytes = b""
    ) -> Reply:
        sent = {**BROWSER, "User-Agent": "Browser/1.0", **fields}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{n}={v}" for n, v in self.cookies.items())
        reply = await ask(self.port, method, target, sent, body)
        for line in reply.all("Set-Cookie"):
            self._keep(line)
        return reply

    def _keep(self, line: str) -> None:
        pair, *attributes = (part.strip() for part in line.split(";"))
        name, _, value = pair.partition("=")
        reported = {each.lower() for each in attributes}
        if reported & {"max-age=0", "expires=thu, 01 jan 1970 00:00:00 gmt"}:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value


# What a browser adds to a form or a fetch of a page of the same site.
_FROM_OUR_PAGE = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
