"""wrk, the load client: requests are written before the run and sent in turn."""

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import OTHER_CORE

# With Host and Cookie these are the twenty fields that a browser's fetch() sends.
FIELDS: Mapping[str, str] = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.7",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://app.example.com/list",
    "X-Requested-With": "fetch",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Dest": "empty",
    "DNT": "1",
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Sec-Ch-Ua": '"Chromium";v="131", "Not_A Brand";v="24"',
    "Sec-Ch-Ua-Mobile": "?0",
    "Sec-Ch-Ua-Platform": '"Linux"',
    "Priority": "u=1, i",
    "If-None-Match": 'W/"5f3-19a"',
    "X-Client-Version": "2026.11.1",
}
_LARGE_BODY = 10_000


@dataclass(frozen=True, kw_only=True)
class Load:
    """Requests, and how they are sent."""

    method: str = "GET"
    page: str = "/page"
    body_bytes: int = 0
    connections: int = 64
    new_connections: bool = False
    """One connection for each request."""
    per_second: float | None = None
    """Requests at random moments with this rate; None: as many as are answered."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the client saw; latencies in milliseconds."""

    requests: int
    seconds: float
    failures: Mapping[str, int]
    """Of status, connect, read, write, timeout: what happened at least once."""
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where requests go; each of `cookies` is sent in turn."""

    port: int
    path: str
    cookies: Sequence[str] = ("a=b",)
    fields: Mapping[str, str] = field(default_factory=dict)


def script(to: Destination, load: Load) -> str:
    """Return the Lua script of wrk that sends `load`."""
    fields = {**FIELDS, **to.fields}
    if load.new_connections:
        fields["Connection"] = "close"
    # wrk keeps every request in memory.
    cookies = to.cookies if load.body_bytes < _LARGE_BODY else to.cookies[:20]
    headers = ", ".join(f"[{_lua(n)}]={_lua(v)}" for n, v in fields.items())
    body = f"string.rep('x', {load.body_bytes})" if load.body_bytes else "nil"
    return f"""
local cookies = {{{", ".join(map(_lua, cookies))}}}
local requests, turn = {{}}, 0
function init(args)
  math.randomseed(1)
  local body = {body}
  for number, cookie in ipairs(cookies) do
    requests[number] = wrk.format({_lua(load.method)}, {_lua(to.path + load.page)} .. "?id=" .. number,
      {{{headers}, ["Cookie"]="theme=dark; lang=en; " .. cookie}}, body)
  end
end
function request() turn = turn % #requests + 1; return requests[turn] end
{_pause(load)}
function done(summary, latency)
  local e = summary.errors
  print("RESULT" .. string.format('{{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,'
    .. '"failures":{{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}}}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


def _pause(load: Load) -> str:
    if load.per_second is None:
        return ""
    # Independent exponential pauses on many connections: arrivals as of many users.
    mean = load.connections / load.per_second * 1000
    return f"function delay() return math.floor(-math.log(1 - math.random()) * {mean} + 0.5) end"


def _lua(text: str) -> str:
    """Return a Lua string; JSON escapes what these texts may contain alike."""
    return json.dumps(text)


def send(to: Destination, load: Load, seconds: float, folder: Path) -> Result:
    """Send `load` for some seconds (rounded up: wrk counts whole ones).

    Raises:
        RuntimeError: wrk failed, or no request was answered.
    """
    file = folder / f"load-{to.port}.lua"
    file.write_text(script(to, load))
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{math.ceil(seconds)}s"]
    done = subprocess.run(
        ["taskset", "-c", str(OTHER_CORE[0]), *command, "--timeout", "10s"]
        + ["-s", str(file), f"http://127.0.0.1:{to.port}/"],
        capture_output=True,
        text=True,
        check=False,
    )
    return read_result(done.stdout + done.stderr)


def read_result(printed: str) -> Result:
    """Return the figures that the script printed.

    Raises:
        RuntimeError: there are none, or no request was answered.
    """
    for line in printed.splitlines():
        if line.startswith("RESULT"):
            found = json.loads(line.removeprefix("RESULT"))
            failures = {kind: n for kind, n in found.pop("failures").items() if n}
            if found["requests"]:
                return Result(**found, failures=failures)
    raise RuntimeError(f"wrk measured nothing: {printed[-500:]}")
