"""A page gets a token from the gateway and calls PostgREST itself, in Chromium."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from playwright.sync_api import Browser, Page

from gateway.demo.postgres import EmbeddedPostgres
from gateway.sessions.identity_change import (
    ChangeCount,
    IdentityChange,
    change_sessions,
)
from gateway.tokens.key_files import new_key, read_folder
from tests.browser.running import Running, serving
from tests.docs.snippets import block_of
from tests.postgres.conftest import postgres, superuser
from tests.postgres.test_postgrest import postgrest, running, settings_of_the_page
from tests.servers import PATIENCE, valkey_server
from tests.walk.harness import Seen, ask

pytestmark = [
    pytest.mark.browser,
    pytest.mark.postgres,
    pytest.mark.needs(
        "chromium", "playwright", "valkey", "postgres", "npm", "postgrest"
    ),
]

__all__ = ["postgres", "postgrest", "superuser"]

TOKEN = """async (gateway) => {
  const options = {credentials: "include"};
  const answer = await fetch(`${gateway}/.gateway/token?profile=page`, options);
  return [answer.status, await answer.json()];
}"""
NOTES = """async ([api, token]) => {
  const headers = {Authorization: `Bearer ${token}`};
  const answer = await fetch(`${api}/notes?select=body&order=id`, {headers});
  return [answer.status, await answer.json()];
}"""
WHOAMI = """async (gateway) => {
  const path = "/.gateway/sessions/whoami?tokenize_as=page";
  const answer = await fetch(gateway + path, {credentials: "include"});
  return (await answer.json()).tokenized;
}"""


@dataclass
class Place:
    """A gateway, the page of a listed origin, and PostgREST that pages can reach."""

    running: Running
    listed: str
    api: str


async def app(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 22\r\n\r\n"
        b"<!doctype html><p>App\n"
    )
    await writer.drain()


@pytest.fixture
def place(
    postgrest: Path,
    postgres: EmbeddedPostgres,
    superuser: psycopg.Connection,
    tmp_path: Path,
) -> Iterator[Place]:
    shown = yaml.safe_load(block_of("docs/tokens.md", "Tokens for the browser", "yaml"))
    new_key(tmp_path / "keys", "ES256", time.time())
    (file,) = read_folder(tmp_path / "keys")
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [file.key.public_jwk]}))
    settings = settings_of_the_page() | {
        "db-uri": postgres.dsn("authenticator"),
        "jwt-secret": f"@{tmp_path / 'jwks.json'}",
        "jwt-aud": shown["tokens"]["profiles"]["page"]["audience"],
    }
    listed: list[str] = []

    def change(config: dict[str, Any]) -> None:
        port = urlsplit(config["upstreams"]["web"]["url"]).port
        listed.append(f"http://localhost:{port}")
        config["server"]["cors_origins"] = listed
        config["tokens"] |= {"keys": str(tmp_path / "keys"), "algorithm": "ES256"}
        config["tokens"]["profiles"]["page"] = shown["tokens"]["profiles"]["page"]

    with (
        running(postgrest, settings, tmp_path) as port,
        valkey_server(tmp_path) as redis,
        serving(app, tmp_path, redis.url, change) as found,
    ):
        until = time.monotonic() + PATIENCE
        while found.do(ask, port, "GET", "/").status == 503:
            assert time.monotonic() < until
        yield Place(found, listed[0], f"http://localhost:{port}")


@pytest.fixture
def tab(chromium: Browser, place: Place) -> Iterator[Page]:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    cookie = place.running.do(place.running.gateway.sign_in)
    name, _, value = cookie.partition("=")
    url = place.running.url
    context.add_cookies([{"name": name, "value": value, "url": url}])
    yield context.new_page()
    context.close()


def test_a_page_calls_postgrest_with_its_token(place: Place, tab: Page) -> None:
    gateway = place.running.url
    acme = ["acme one", "acme two"]

    tab.goto(gateway)
    status, answer = tab.evaluate(TOKEN, gateway)
    found = tab.evaluate(NOTES, [place.api, answer["token"]])
    tokenized = tab.evaluate(WHOAMI, gateway)

    assert (status, answer["token_type"]) == (200, "Bearer")
    assert (found[0], [row["body"] for row in found[1]]) == (200, acme)
    assert tab.evaluate(NOTES, [place.api, tokenized]) == found

    # A listed page of the same site, and one that is not listed.
    tab.goto(place.listed)
    assert tab.evaluate(TOKEN, gateway)[0] == 200
    assert tab.evaluate(WHOAMI, gateway).count(".") == 2
    tab.goto(place.api)
    for script in (TOKEN, WHOAMI):
        with pytest.raises(Exception, match="Failed to fetch"):
            tab.evaluate(script, gateway)

    async def leaves() -> None:
        store, count = place.running.gateway.own_store, ChangeCount()
        change = IdentityChange(remove_tenant="t_acme")
        await change_sessions(store, "u_grace", change, now=time.time(), count=count)

    place.running.do(leaves)
    tab.goto(gateway)
    status, problem = tab.evaluate(TOKEN, gateway)
    assert (status, problem["reason"]) == (403, "tenant_missing")
