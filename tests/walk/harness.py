"""A gateway on real sockets, and the other ends that a walk needs."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import h11
import yaml

from gateway.app import App
from gateway.build.ring import build_ring
from gateway.config.load import load_config
from gateway.errors import StoreUnavailable
from gateway.observe.logs import configure
from gateway.sessions.cookie import new_token
from gateway.sessions.record import Identity, Session, Tenant
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.service import new_session
from tests.servers import PATIENCE, free_port

T = TypeVar("T")

ADMIN_TOKEN = "walk-admin-token-0123456789"
IMPATIENT = {"timeout": "400ms"}
"""`redis` of a gateway whose store a test takes away."""


async def until(found: Callable[[], T]) -> T:
    """Ask again until there is something; for what has no event to wait for."""
    async with asyncio.timeout(PATIENCE):
        while not (answer := found()):
            await asyncio.sleep(0.005)
    return answer


def current_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task
    return task


@dataclass(slots=True)
class Seen:
    """One request as an upstream saw it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    complete: bool = False

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def present(self, name: str) -> str:
        """Return a field that must be there, once."""
        value = self.one(name)
        assert value is not None, f"{name} did not come"
        return value


Answer = Callable[["Seen", asyncio.StreamWriter], Awaitable[None]]


async def answer_ok(seen: Seen, writer: asyncio.StreamWriter) -> None:
    body = json.dumps({"method": seen.method, "target": seen.target}).encode()
    head = b"" if seen.method == "HEAD" else body
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + head
    )
    await writer.drain()


@dataclass
class RecordingUpstream:
    """A strict HTTP/1.1 server (h11) that keeps every request, whole or cut off."""

    answer: Answer = answer_ok
    seen: list[Seen] = field(default_factory=list)
    wire: list[bytearray] = field(default_factory=list)
    """What came over each connection, byte for byte."""
    errors: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def complete(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.complete]

    @property
    def last(self) -> Seen:
        assert self.complete, "no request has come: look at the gateway's answer"
        return self.complete[-1]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            _drop(writer)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until every connection is over, as it is once the gateway is closed."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._tasks)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        self._writers.append(writer)
        self._tasks.append(current_task())
        wire = bytearray()
        self.wire.append(wire)
        machine = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        seen: Seen | None = None
        try:
            while True:
                event = machine.next_event()
                if event is h11.NEED_DATA:
                    data = await reader.read(65536)
                    wire += data
                    machine.receive_data(data)
                    continue
                if isinstance(event, h11.Request):
                    seen = Seen(
                        event.method.decode(),
                        event.target.decode(),
                        [(n.decode(), v.decode("latin-1")) for n, v in event.headers],
                    )
                    self.seen.append(seen)
                    self.arrived.set()
                elif isinstance(event, h11.Data) and seen is not None:
                    seen.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage) and seen is not None:
                    seen.complete = True
                    await self.answer(seen, writer)
                    if writer.is_closing():
                        return
                    machine = h11.Connection(
                        h11.SERVER, max_incomplete_event_size=1 << 20
                    )
                    rest = machine.trailing_data[0]
                    assert not rest
                elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                    return
        except h11.RemoteProtocolError as error:
            self.errors.append(str(error))
        except ConnectionError:
            pass
        finally:
            self.gone.set()
            writer.close()


def routes_for_all_rules() -> list[dict[str, Any]]:
    return [
        {"match": "/**", "rule": "public", "upstream": "web"},
        {
            "match": "/static/**",
            "rule": "public",
            "session": "ignore",
            "upstream": "web",
        },
        {"match": "/dashboard/**", "rule": "protected", "upstream": "web"},
        {"match": "/admin/**", "rule": "admin-only", "upstream": "web"},
        {"match": "/auth/**", "rule": "auth-redirect", "upstream": "web"},
        {
            "match": "/api/**",
            "rule": "protected",
            "require": {"tenant": True},
            "unauthenticated": "status",
            "preflight": "pass",
            "upstream": "api",
        },
    ]


def base_config(web: int, api: int | None = None) -> dict[str, Any]:
    """A configuration with every rule, for `web` and `api` on these ports."""
    return {
        "version": 1,
        "server": {
            "listen": "127.0.0.1:0",
            "admin": None,
            "admin_hosts": ["gw.test"],
            "public_url": "http://gw.test",
            "admin_token": ADMIN_TOKEN,
        },
        # Longer than the default, which a busy machine exceeds: that would be a 503.
        "redis": {"timeout": "10s"},
        "sessions": {"extend_within": None},
        "sign_in": {
            "url": "/auth/login",
            "home": "/dashboard",
            "no_tenant": "/auth/onboarding",
            "step_up": "/auth/login?refresh=true",
        },
        "tokens": {
            "issuer": "http://gw.test",
            "profiles": {
                "database": {
                    "audience": "postgrest",
                    "header": "Authorization",
                    "claims": {
                        "role": "authenticated",
                        "tenant_id": "{tenant.id}",
                        "tenant_role": "{tenant.role}",
                        "email": "{identity.traits.email}",
                    },
                },
                "assertion": {"audience": "web", "header": "X-Auth-Assertion"},
            },
        },
        "upstreams": {
            "web": {
                "url": f"http://127.0.0.1:{web}",
                "token": "assertion",
                "may_sign_in": True,
            },
            "api": {
                "url": f"http://127.0.0.1:{api or web}",
                "strip_prefix": "/api",
                "token": "database",
            },
        },
        "routes": routes_for_all_rules(),
    }


@dataclass
class Gateway:
    """A gateway that runs in this event loop."""

    app: App
    port: int
    path: Path
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Read the log of a gateway that is closed."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    async def logged(self) -> list[dict[str, Any]]:
        """Read the log, once all that was begun is in it.

        A client has its answer before the gateway has written its line.
        """
        metrics = self.app._reporter.metrics
        await until(lambda: metrics.requests_in_flight == 0)
        self.app._output.sink.flush()
        return self.lines()

    async def sign_in(self, session: Session | None = None, **changes: Any) -> str:
        """Put a session into the store; gives the Cookie field value."""
        token = new_token(os.urandom(32))
        now = time.time()
        made = session or a_session(now, **changes)
        async with asyncio.timeout(PATIENCE):
            while not await self._created(token.key, made, now):
                continue
        name = self.app.runtime.rules.cookie.name
        return f"{name}={token.value}"

    @property
    def own_store(self) -> RedisStore:
        """The store of a gateway that writes the sessions itself."""
        store = self.app.store
        assert isinstance(store, RedisStore)
        return store

    async def _created(self, key: str, session: Session, now: float) -> bool:
        try:
            await self.own_store.create(key, session, now)
        except StoreUnavailable:  # a busy machine, and a gateway without patience
            return False
        except ValueError:  # it was stored before, and the answer came too late
            return True
        return True

    @staticmethod
    def key_of(cookie: str) -> str:
        """Name the place in the store of the session that a cookie holds."""
        return hashlib.sha256(cookie.partition("=")[2].encode()).hexdigest()


def a_session(now: float, **changes: Any) -> Session:
    """A member of two tenants; `changes` are fields of new_session."""
    fields: dict[str, Any] = {
        "identity": Identity(
            id="u_grace",
            traits={"email": "grace@example.com", "name": "Grace"},
            roles=("member",),
        ),
        "tenants": {
            "t_acme": Tenant(id="t_acme", name="Acme", role="owner"),
            "t_blue": Tenant(id="t_blue", name="Blue", role="member"),
        },
        "active_tenant": "t_acme",
        "methods": ("password",),
        "aal": "aal1",
        "persistent": True,
        "device": None,
        "now": now,
        "session_id": f"session-{os.urandom(6).hex()}",
    } | changes
    from gateway.sessions.authenticate import LifetimePolicy

    return new_session(policy=LifetimePolicy(lifespan=86400), **fields)


def an_admin() -> dict[str, Any]:
    return {"identity": Identity(id="u_ada", traits={}, roles=("admin",))}


@asynccontextmanager
async def running_gateway(
    config: Mapping[str, Any], folder: Path, redis_url: str
) -> AsyncIterator[Gateway]:
    """Open a gateway by this configuration and close it again."""
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(dict(config)))
    loaded = load_config(path, env=os.environ)
    log = folder / "gateway.log"
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    output = configure("info", "json", fd=fd)
    app = App(
        loaded,
        ring=build_ring(loaded, now=time.time()),
        output=output,
        env=os.environ,
        redis_url=redis_url,
    )
    await app.open()
    try:
        yield Gateway(app=app, port=app.ports[0], path=path, log=log)
    finally:
        await app.close()
        output.sink.close()
        os.close(fd)


@dataclass(slots=True)
class Reply:
    """An answer as a client saw it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    closed: bool = False

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def present(self, name: str) -> str:
        """Return a field that must be there, once."""
        value = self.one(name)
        assert value is not None, f"{name} did not come"
        return value

    def json(self) -> Any:
        return json.loads(self.body)


BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}
PROGRAM = {"Accept": "application/json"}


async def ask(
    port: int,
    method: str = "GET",
    target: str = "/",
    headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    body: bytes = b"",
    *,
    host: str = "gw.test",
) -> Reply:
    """Send one request, well framed, and read its whole answer."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in pairs]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    return parse(await send_raw(port, raw), method)


async def send_raw(port: int, raw: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes and read until the other end closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        await writer.drain()
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def once_it_is_back(port: int, *what: Any) -> Reply:
    """Ask until the store has answered in time again."""
    async with asyncio.timeout(PATIENCE):
        while (reply := await ask(port, *what)).status == 503:
            continue
    return reply


def parse(raw: bytes, method: str = "GET") -> Reply:
    """Read one answer strictly; what follows it is an error of the test."""
    machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    machine.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    machine.send(h11.EndOfMessage())
    machine.receive_data(raw)
    machine.receive_data(b"")
    reply: Reply | None = None
    while True:
        event = machine.next_event()
        if isinstance(event, h11.Response):
            headers = [(n.decode(), v.decode("latin-1")) for n, v in event.headers]
            reply = Reply(event.status_code, headers, b"")
        elif isinstance(event, h11.Data) and reply is not None:
            reply.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and reply is not None:
            return reply
        elif isinstance(event, h11.InformationalResponse):
            continue
        else:
            raise AssertionError(f"not an answer: {event!r} in {raw[:200]!r}")


def sign_in_header(document: Mapping[str, Any]) -> str:
    """Write what X-Gateway-Sign-In carries."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


class Client:
    """A client's connection, driven step by step."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer
        self._machine = h11.Connection(h11.CLIENT)
        self._rest = b""

    def stop_reading(self) -> None:
        """Leave what comes in the kernel's buffers."""
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    async def send(self, *pieces: bytes) -> None:
        """Send bytes as they are."""
        async with asyncio.timeout(PATIENCE):
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()

    def end(self) -> None:
        """Say that nothing more is sent, and go on reading."""
        self.writer.write_eof()

    def vanish(self) -> None:
        """Be gone, as a machine that lost its power."""
        self.writer.transport.abort()

    async def head(self, method: str = "GET", *, interim: bool = False) -> Reply:
        """Read the head of the next answer; a 1xx only if `interim`."""
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        # RFC 9110, section 7.8: a 101 comes only to who asked for another protocol.
        fields = [("Host", "x"), ("Connection", "upgrade"), ("Upgrade", "websocket")]
        self._machine.send(h11.Request(method=method, target="/", headers=fields))
        self._machine.send(h11.EndOfMessage())
        if self._rest:  # b"" would say that the connection has ended
            self._machine.receive_data(self._rest)
        while True:
            event = await self._event()
            status = getattr(event, "status_code", 0)
            if isinstance(event, h11.InformationalResponse):
                if interim or status == 101:
                    self._rest = self._machine.trailing_data[0]
                    return Reply(status, _fields(event), b"")
            elif isinstance(event, h11.Response):
                return Reply(status, _fields(event), b"")
            else:
                raise AssertionError(f"not the head of an answer: {event!r}")

    async def piece(self) -> bytes:
        """Read what has come of the body; b"" is its proper end.

        Raises:
            h11.RemoteProtocolError: the body broke off.
        """
        event = await self._event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event
        self._rest = self._machine.trailing_data[0]
        return b""

    async def reply(self, method: str = "GET") -> Reply:
        """Read the next answer to its end."""
        reply = await self.head(method)
        while piece := await self.piece():
            reply.body += piece
        return reply

    async def silence(self) -> bytes:
        """Read until the other end closes; gives what still came."""
        rest, self._rest = self._rest, b""
        async with asyncio.timeout(PATIENCE):
            return rest + await self.reader.read()

    async def _event(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            while (event := self._machine.next_event()) is h11.NEED_DATA:
                self._machine.receive_data(await self.reader.read(1 << 16))
        return event


@asynccontextmanager
async def connected(port: int, **how: Any) -> AsyncIterator[Client]:
    """Open a connection to the gateway; `how` goes to asyncio.open_connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **how)
    try:
        yield Client(reader, writer)
    finally:
        _drop(writer)


def _drop(writer: asyncio.StreamWriter) -> None:
    # CPython 3.11 cannot abort a transport that has come to its end by itself.
    with contextlib.suppress(AttributeError):
        writer.transport.abort()


def _fields(event: Any) -> list[tuple[str, str]]:
    return [(n.decode(), v.decode("latin-1")) for n, v in event.headers]


class Line:
    """An upstream's end of one connection, driven by a script."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> Seen:
        """Read the head of a request."""
        async with asyncio.timeout(PATIENCE):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        line, *fields = raw[:-4].decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        pairs = [field.partition(": ") for field in fields]
        return Seen(method, target, [(name, value) for name, _, value in pairs])

    async def pieces(self, seen: Seen) -> AsyncIterator[bytes]:
        """Read the body of a request, by its framing, as it comes."""
        if seen.one("Transfer-Encoding") == "chunked":
            while size := int(await self._within(self.reader.readuntil(b"\r\n")), 16):
                yield await self._within(self.reader.readexactly(size))
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self._within(self.reader.readexactly(2)) == b"\r\n"
        left = int(seen.one("Content-Length") or 0)
        while left:
            piece = await self._within(self.reader.read(min(left, 1 << 18)))
            assert piece, f"the request ended {left} bytes early"
            left -= len(piece)
            yield piece

    async def request(self) -> Seen:
        """Read a whole request."""
        seen = await self.head()
        seen.body = b"".join([piece async for piece in self.pieces(seen)])
        seen.complete = True
        return seen

    async def send(self, *pieces: bytes) -> None:
        """Send bytes as they are."""
        async with asyncio.timeout(PATIENCE):
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()

    async def gone(self, within: float = PATIENCE) -> None:
        """Wait until the gateway has closed the connection."""
        try:
            async with asyncio.timeout(within):
                while await self.reader.read(1 << 18):
                    continue
        except ConnectionError:
            return

    def vanish(self) -> None:
        """Be gone, as a program that was killed."""
        self.writer.transport.abort()

    @staticmethod
    async def _within(reading: Awaitable[bytes]) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await reading


@dataclass
class Stage:
    """An upstream that plays a script on each of its connections."""

    script: Callable[[Line], Awaitable[None]]
    port: int = 0
    lines: list[Line] = field(default_factory=list)
    played: list["asyncio.Task[None]"] = field(default_factory=list)

    async def enter(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        line = Line(reader, writer)
        self.lines.append(line)
        self.played.append(current_task())
        try:
            await self.script(line)
        except asyncio.IncompleteReadError as error:
            if error.partial:  # else the gateway has closed a kept connection
                raise
        finally:
            writer.close()


@asynccontextmanager
async def stage(script: Callable[[Line], Awaitable[None]]) -> AsyncIterator[Stage]:
    """Play `script` on each connection; what it asserts fails the test.

    A script that still waits when the test is over is ended.
    """
    playing = Stage(script)
    server = await asyncio.start_server(playing.enter, "127.0.0.1", 0, limit=1 << 20)
    playing.port = server.sockets[0].getsockname()[1]
    try:
        yield playing
    finally:
        server.close()
        for task in playing.played:
            task.cancel()
        outcomes = await asyncio.gather(*playing.played, return_exceptions=True)
        for line in playing.lines:
            _drop(line.writer)
        await asyncio.sleep(0)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _limited_to(descriptors: int) -> list[str]:
    return ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]


@dataclass
class GatewayProcess:
    """A gateway as people run it."""

    process: asyncio.subprocess.Process
    port: int
    lines: list[dict[str, Any]]

    def memory(self, field_name: str) -> int:
        """Read a size, in bytes, out of /proc/PID/status."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{field_name}:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Have VmHWM begin anew (proc(5), clear_refs)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@asynccontextmanager
async def gateway_process(
    config: Mapping[str, Any],
    folder: Path,
    redis_url: str,
    *,
    descriptors: int | None = None,
) -> AsyncIterator[GatewayProcess]:
    """Run `gateway run` on a configuration until it serves, and end it in order.

    `descriptors` is how many files it may have open.
    """
    limited = [] if descriptors is None else _limited_to(descriptors)
    port = free_port()
    server = {**config["server"], "listen": f"127.0.0.1:{port}"}
    path = folder / "gateway.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                **config,
                "server": server,
                "redis": config["redis"] | {"url": redis_url},
            }
        )
    )
    process = await asyncio.create_subprocess_exec(
        *limited,
        sys.executable,
        *("-m", "gateway", "run", "-c", str(path), "--log-format", "json"),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while not lines or lines[-1]["message"] != "listening":
            lines.append(json.loads(await process.stdout.readline()))
    reading = asyncio.create_task(_keep_reading(process.stdout, lines))
    try:
        yield GatewayProcess(process, port, lines)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


async def _keep_reading(
    stream: asyncio.StreamReader, lines: list[dict[str, Any]]
) -> None:
    async for line in stream:
        lines.append(json.loads(line))
