"""Many cheap requests by wrk: a session each, all live or all ended, so one answer fits all.

The oracle judges each of its requests and so sends a few hundred a second. Here a
whole run is judged: every response is a success, or every response is a 401.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.changes import BEARER, JSON, identity
from tests.faults.wire import Connection, Response, request

_AT_ONCE = 16
_CONNECTIONS = 48
_PAGES = ("/home/x", "/home/x", "/api/x")

# `wrk.format` for each request would cost as much as the request itself.
_SCRIPT = """
local requests = {}
local pages = { %(pages)s }
local at = 0
function init(arguments)
  for cookie in io.lines("%(cookies)s") do
    local fields = { Host = "gw.test", Accept = "application/json", Cookie = cookie }
    requests[#requests + 1] = wrk.format("GET", pages[#requests %% #pages + 1], fields)
  end
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%%d,"refused":%%d,"broken":%%d}\\n',
    summary.requests, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """What wrk counted; `refused` had a status of 400 and more."""

    requests: int
    refused: int
    broken: int

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(
            self.requests + other.requests,
            self.refused + other.refused,
            self.broken + other.broken,
        )


@dataclass(frozen=True, slots=True)
class BulkSession:
    """A session by its id and the cookie that carries it."""

    id: str
    cookie: str


async def make_sessions(admin: int, count: int, name: str) -> list[BulkSession]:
    """Create `count` sessions of as many identities by the admin API."""

    async def make(connection: Connection, at: int) -> BulkSession:
        body = json.dumps(identity(f"{name}-{at}")).encode()
        response = await _ask(connection, "POST", "/admin/sessions", body)
        assert response.status == 201, response
        document = json.loads(response.body)
        return BulkSession(
            document["session"]["id"], document["set_cookie"].partition(";")[0]
        )

    made: list[BulkSession] = []

    async def worker(first: int) -> None:
        connection = await Connection.open(admin)
        for at in range(first, count, _AT_ONCE):
            made.append(await make(connection, at))
        connection.abort()

    await asyncio.gather(*(worker(first) for first in range(_AT_ONCE)))
    return made


async def end_sessions(admin: int, sessions: Sequence[BulkSession]) -> None:
    """Revoke each session by the admin API."""

    async def worker(first: int) -> None:
        connection = await Connection.open(admin)
        for session in sessions[first::_AT_ONCE]:
            path = f"/admin/sessions/{session.id}"
            response = await _ask(connection, "DELETE", path)
            assert response.status == 204, response
        connection.abort()

    await asyncio.gather(*(worker(first) for first in range(_AT_ONCE)))


async def send(
    port: int, sessions: Sequence[BulkSession], least: int, folder: Path
) -> Sent:
    """Send at least `least` requests, the sessions in turn."""
    cookies, script = folder / "cookies.txt", folder / "bulk.lua"
    cookies.write_text("".join(f"{each.cookie}\n" for each in sessions))
    pages = ", ".join(f'"{page}"' for page in _PAGES)
    script.write_text(_SCRIPT % {"pages": pages, "cookies": cookies})
    sent = Sent(0, 0, 0)
    seconds = 1
    while sent.requests < least:
        more = await _wrk(port, script, seconds)
        sent += more
        per_second = max(1, more.requests // seconds)
        seconds = max(1, min(60, (least - sent.requests) // per_second))
    return sent


async def _wrk(port: int, script: Path, seconds: int) -> Sent:
    command = ("wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-s", str(script))
    process = await asyncio.create_subprocess_exec(
        *command, f"http://127.0.0.1:{port}/", stdout=asyncio.subprocess.PIPE
    )
    stated, _ = await process.communicate()
    assert process.returncode == 0, stated
    return Sent(**json.loads(stated.splitlines()[-1]))


async def _ask(
    connection: Connection, method: str, path: str, body: bytes = b""
) -> Response:
    raw = request(method, path, host="127.0.0.1", fields=(BEARER, JSON), body=body)
    async with asyncio.timeout(30):
        return await connection.exchange(raw)
