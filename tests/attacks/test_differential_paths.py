"""The same odd paths through the gateway to nginx, WSGI, Node and Go.

Each server has a router of its own and says which zone it chose and on which path it
acted. That path is the one that the gateway's rule was matched against, decoded once;
and nobody without a session acts in the zone behind one.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
import pytest_asyncio

from gateway.http.target import Target, parse_target, strip_prefix
from tests.servers import PATIENCE, Server, free_port
from tests.walk.harness import (
    Client,
    Gateway,
    Reply,
    an_admin,
    base_config,
    connected,
    running_gateway,
)

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

HERE = Path(__file__).parent / "paths"
SERVERS = [
    pytest.param("nginx", marks=pytest.mark.needs("nginx")),
    pytest.param("wsgi"),
    pytest.param("node", marks=pytest.mark.needs("node")),
    pytest.param("go", marks=pytest.mark.needs("go")),
]

FIRST = [
    "/admin", "/%61dmin", "/adm%69n", "/%61%64%6D%69%6e", "/ADMIN", "/Admin", "/admin2",
    "/admin.", "/admin..", "/admin%20", "/%20admin", "/admin%09", "/admin+", "/admin%2B",
    "/admin;x", "/admin%3bx", "/admin%00", "/admin%2f", "/admin%2F", "/admin%5c", "/admin\\",
    "/admin%25", "/%2561dmin", "/admin%23", "/admin%3F", "/admin#", "/admin~", "/admin%7E",
    "/admin!", "/admin%21", "/admin@", "/admin%40", "/admin:", "/admin%3A", "/admin%C3%A9",
    "/%c3%a4dmin", "/admin%FF", "/%C0%AEadmin", "/admin%E2%80%8B", "/%EF%BC%8Fadmin",
    "/admin$", "/admin&", "/admin=", "/admin,", "/admin'", "/admin(", "/admin*", "/%61dmin%2e",
    "/open", "//admin", "/./admin", "/%2e/admin", "/../admin", "/%2e%2e/admin", "/.admin",
    "/..admin", "/...", "/open/../admin", "/open/%2e%2e/admin", "/open/..%2fadmin",
    "/open/.%2e/admin", "/open/..;/admin", "/open/%252e%252e/admin", "/open//admin",
    "/open/.../admin", "/open%2f..%2fadmin", "/open/%2e./admin", "/open/. ./admin", "/%u0061dmin",
    "/admin%", "/admin%6", "/admin%zz", "/admin|x", "/admin^", "/admin`x", "/admin{x}", "/admin[x]",
    '/admin"x"', "/admin<x>", "/http://admin", "/http:/admin", "/@admin", "/:80/admin",
]  # fmt: skip
LAST = [
    "",
    "/",
    "/x",
    "/..",
    "/%2e",
    "/x%2fy",
    "//",
    "/?q=/open",
    "?/../open",
    "/%41?a=%2e",
]
PATHS = [first + last for first, last in itertools.product(FIRST, LAST)]


def first_line(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@contextmanager
def started(*command: str, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **how)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@contextmanager
def server(name: str, folder: Path) -> Iterator[int]:
    """Run one of the servers; give its port."""
    match name:
        case "wsgi":
            with started(sys.executable, str(HERE / "server.py")) as process:
                yield first_line(process)
        case "node":
            with started("node", str(HERE / "server.js")) as process:
                yield first_line(process)
        case "go":
            built = folder / "server"
            subprocess.run(
                ["go", "build", "-o", str(built), str(HERE / "server.go")],
                check=True,
                env=os.environ | {"GOFLAGS": "-mod=mod", "GO111MODULE": "off"},
            )
            with started(str(built)) as process:
                yield first_line(process)
        case _:
            port = free_port()
            user = "" if os.geteuid() else "user root;"
            text = (HERE / "nginx.conf").read_text()
            conf = folder / "nginx.conf"
            conf.write_text(text.format(user=user, folder=folder, port=port))
            program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
            assert program
            with started(program, "-p", str(folder), "-c", str(conf), "-e", "stderr"):
                yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def rig(
    request: pytest.FixtureRequest, redis: Server, tmp_path_factory: Any
) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp(request.param)
    async with AsyncExitStack() as stack:
        port = await asyncio.to_thread(
            stack.enter_context, server(request.param, folder)
        )
        await answering(port)
        config = base_config(port)
        config["routes"] = [
            {"match": "/**", "rule": "public", "upstream": "web", "id": "open"},
            {
                "match": "/admin/**",
                "rule": "admin-only",
                "upstream": "web",
                "id": "admin",
            },
            {"match": "/api/**", "rule": "public", "upstream": "api", "id": "api"},
        ]
        yield await stack.enter_async_context(
            running_gateway(config, folder, redis.url)
        )


async def answering(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(ConnectionError):
                async with connected(port):
                    return
            await asyncio.sleep(0.01)


async def ask_each(
    gateway: Gateway, *fields: str, prefixes: tuple[str, ...] = ("",)
) -> list[tuple[str, Reply]]:
    """Send every path, one connection for as long as it is kept."""
    found: list[tuple[str, Reply]] = []
    lines = "".join(f"{field}\r\n" for field in fields)
    left = [f"{prefix}{path}" for prefix in prefixes for path in PATHS]
    while left:
        async with connected(gateway.port) as client:
            while left:
                path = left.pop(0)
                reply = await one(client, path, lines)
                found.append((path, reply))
                if reply.one("Connection") == "close":
                    break
    return found


async def one(client: Client, path: str, lines: str) -> Reply:
    head = f"GET {path} HTTP/1.1\r\nHost: gw.test\r\nAccept: */*\r\n{lines}\r\n"
    await client.send(head.encode("latin-1"))
    return await client.reply()


async def test_the_path_that_the_server_acts_on_is_the_path_that_the_rule_matched(
    rig: Gateway,
) -> None:
    cookie = await rig.sign_in(**an_admin())

    answers = await ask_each(rig, f"Cookie: {cookie}")

    routes = {
        line["http.request.id"]: line.get("gateway.route")
        for line in await rig.logged()
        if "http.request.id" in line
    }
    acted = 0
    for path, reply in answers:
        target = parse_target(path)
        if not isinstance(target, Target) or target.escapes:
            assert reply.status == 400, path
            continue
        if reply.status == 400:  # the server refuses it: nothing was acted on
            assert reply.one("X-Request-Id"), path
            continue
        assert reply.status == 200, (path, reply)
        zone, _, rest = reply.body.partition(b" ")
        assert rest == unquote_to_bytes(target.path), path
        assert zone.decode() == routes[reply.one("X-Request-Id")], path
        acted += 1
    assert acted >= 200, acted


async def test_without_a_session_no_spelling_of_a_path_acts_in_the_closed_zone(
    rig: Gateway,
) -> None:
    answers = await ask_each(rig)

    statuses = {reply.status for _, reply in answers}
    for path, reply in answers:
        assert not reply.body.startswith(b"admin "), path
        assert reply.status in {200, 400, 401}, path
    assert {200, 400, 401} <= statuses


async def test_after_a_prefix_is_removed_it_is_still_the_path_that_was_matched(
    rig: Gateway,
) -> None:
    answers = await ask_each(rig, prefixes=("/%61pi",))

    acted = 0
    for path, reply in answers:
        target = parse_target(path)
        if not isinstance(target, Target) or target.escapes:
            assert reply.status == 400, path
            continue
        left = strip_prefix(target, "/api")
        if not isinstance(left, Target) or reply.status == 400:
            assert reply.status == 400, path
            continue
        _, _, rest = reply.body.partition(b" ")
        assert (reply.status, rest) == (200, unquote_to_bytes(left.path)), path
        acted += 1
    assert acted >= 200, acted
