"""A steady load: requests of many kinds at a rate, judged by the oracle.

The rate does not wait for responses, so a gateway that hangs is asked on. Only
`IN_FLIGHT` requests wait at once; what could not be sent for that is counted.
"""

import asyncio
import hashlib
import os
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.changes import Changes
from tests.faults.oracle import Expect, Oracle, State, TrackedSession, Visit
from tests.faults.sockets import WebSocketClient
from tests.faults.upstream import DOWNLOAD
from tests.faults.wire import (
    Connection,
    Connections,
    Failure,
    NoResponse,
    Response,
    request,
)
from tests.servers import PATIENCE

IN_FLIGHT = 300
DEADLINE = 10.0
"""Seconds that a client waits for a response."""
_CLEARED = ("Max-Age=0", "1970")

ORDINARY = {
    "public": 12, "public with cookie": 10, "protected": 26, "token": 8, "ended": 10,
    "unknown": 4, "post": 12, "upload": 3, "download": 3, "sign-in": 4, "sign-out": 4,
}  # fmt: skip
"""How often each kind is sent, of about a hundred requests."""
FAULTY = {"faulty get": 12, "faulty post": 8, "faulty upload": 3}
"""What is sent to the upstream that the row breaks, besides."""


@dataclass
class Load:
    """The clients of one row."""

    ports: Sequence[int]
    admins: Sequence[int]
    oracle: Oracle
    rate: float = 100.0
    kinds: dict[str, int] = field(default_factory=lambda: ORDINARY)
    fresh: float = 0.35
    """Part of the requests that open a connection of their own."""
    keep: int = 40
    """Live sessions that sign-outs leave."""
    held_back: int = 0
    ended: int = 0
    """Visits that are over."""
    live: list[TrackedSession] = field(default_factory=list)
    dead: deque[TrackedSession] = field(default_factory=lambda: deque(maxlen=500))
    sockets: list[WebSocketClient] = field(default_factory=list)
    on_end: list[Callable[[Visit], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run_id = os.urandom(4).hex()
        self.changes = Changes(self)
        self._count = 0
        self._stopping = False
        self.pool = Connections()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pacer: asyncio.Task[None] | None = None
        self._deck = [kind for kind, n in self.kinds.items() for _ in range(n)]
        self.started = 0.0
        self.stopped = 0.0

    async def start(self, *, sessions: int = 40, sockets: int = 3) -> None:
        """Sign in through the admin API, open WebSockets, then begin."""
        end = time.monotonic() + PATIENCE
        while len(self.live) < sessions:
            await self.changes.create_by_admin()
            if time.monotonic() > end:
                raise RuntimeError(f"no sign-in: {self.oracle.close()}")
        for at in range(sockets):
            client = WebSocketClient(self.oracle, self.port, self.live[at])
            self.sockets.append(client)
            self.spawn(client.run())
        async with asyncio.timeout(PATIENCE):
            for client in self.sockets:
                await client.connected.wait()
        self.started = time.monotonic()
        self._pacer = asyncio.ensure_future(self._pace())

    async def stop(self) -> None:
        """Send nothing more, and wait for what is under way; a second call does nothing."""
        if self._stopping:
            return
        self._stopping = True
        if self._pacer is not None:
            await asyncio.gather(self._pacer, return_exceptions=True)
        self.stopped = time.monotonic()
        for client in self.sockets:
            client.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DEADLINE * 3)
        self.pool.close()

    def end_a_stream(self) -> None:
        """Begin to end the session of the last WebSocket."""
        session = self.sockets[-1].session
        if session.state is State.LIVE:
            self.spawn(self.changes.end(session))

    async def stream_over(self) -> None:
        """Wait until a session that was ended has no WebSocket, as the oracle wants."""
        client = self.sockets[-1]
        if client.session.state is State.LIVE:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await client.over.wait()
        except TimeoutError:
            self.oracle.stream_outlived(client.session, PATIENCE)

    @property
    def port(self) -> int:
        return self.ports[self._count % len(self.ports)]

    @property
    def admin(self) -> int:
        return self.admins[self._count % len(self.admins)]

    @property
    def running(self) -> bool:
        return not self._stopping

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _pace(self) -> None:
        due = time.monotonic()
        while not self._stopping:
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self._tasks) >= IN_FLIGHT:
                self.held_back += 1
            else:
                self.spawn(self.one())

    async def pause(self) -> None:
        """Send nothing more by the rate, and wait until all responses are there."""
        if self._pacer is not None:
            self._pacer.cancel()
            await asyncio.gather(self._pacer, return_exceptions=True)
        await self.until_quiet()

    def resume(self) -> None:
        """Send by the rate again."""
        self._pacer = asyncio.ensure_future(self._pace())

    async def until_quiet(self) -> None:
        """Wait until nothing but the WebSockets is under way."""
        while len(self._tasks) > len(self.sockets):
            await asyncio.sleep(0.01)

    async def one(self) -> None:
        """Send one request of a kind that is drawn."""
        kind = random.choice(self._deck)
        match kind:
            case "public":
                await self.visit(kind, "GET", "/pub/x", Expect.SERVED)
            case "public with cookie":
                await self.visit(kind, "GET", "/pub/x", Expect.SERVED, self._anyone())
            case "protected":
                await self.visit(kind, "GET", "/home/x", Expect.SESSION, self._anyone())
            case "token":
                await self.visit(kind, "GET", "/api/x", Expect.SESSION, self._anyone())
            case "ended":
                await self._ended()
            case "unknown":
                stranger = TrackedSession("-", f"gateway_session={_token()}")
                await self.visit(
                    kind, "GET", "/home/x", Expect.SESSION, stranger, unknown=True
                )
            case "download":
                await self._download(kind)
            case "sign-in":
                await self.changes.sign_in()
            case "sign-out":
                if len(self.live) > self.keep:
                    await self.changes.sign_out()
                else:
                    await self.changes.sign_in()
            case _:
                await self._body_of(kind)

    async def _ended(self) -> None:
        if not self.dead:
            return
        # Those that have just ended are the ones that a stale reader lets in.
        session = random.choice((self.dead[-1], random.choice(self.dead)))
        await self.visit("ended", "GET", "/home/x", Expect.SESSION, session)

    async def _download(self, kind: str) -> None:
        target, who = "/home/download", self._anyone()
        visit, response = await self.visit(
            kind, "GET", target, Expect.SESSION, who, judge=False
        )
        if response is not None and response.status == 200:
            visit.intact = response.body == DOWNLOAD
        self.finish(visit)

    async def _body_of(self, kind: str) -> None:
        place = "/faulty/x" if kind.startswith("faulty") else "/home/x"
        if kind == "faulty get":
            await self.visit(kind, "GET", place, Expect.SESSION, self._anyone())
            return
        size = random.choice((65_536, 200_000) if "upload" in kind else (10, 2_000))
        body = os.urandom(size)
        await self.visit(kind, "POST", place, Expect.SESSION, self._anyone(), body=body)

    def _anyone(self) -> TrackedSession:
        return random.choice(self.live)

    async def visit(
        self,
        kind: str,
        method: str,
        target: str,
        expect: Expect,
        session: TrackedSession | None = None,
        *,
        unknown: bool = False,
        body: bytes = b"",
        fields: Sequence[str] = (),
        admin: bool = False,
        judge: bool = True,
    ) -> tuple[Visit, Response | None]:
        """Send one request, and have the oracle judge what came of it."""
        self._count += 1
        name = f"{self.run_id}-{self._count}"
        digest = hashlib.sha256(body).hexdigest() if body else None
        visit = self.oracle.start(
            name, kind, method, expect, session, unknown=unknown, digest=digest
        )
        raw = request(
            method,
            target,
            host="127.0.0.1" if admin else "gw.test",
            cookie=session.cookie if session is not None else None,
            fields=(*fields, f"X-Visit: {name}"),
            body=body,
        )
        response = await self._answer(visit, raw, self.admin if admin else self.port)
        if response is not None:
            visit.status = response.status
            visit.cleared = any(
                value.startswith("gateway_session=")
                and any(mark in value for mark in _CLEARED)
                for value in response.all("set-cookie")
            )
        if judge:
            self.finish(visit)
        return visit, response

    def finish(self, visit: Visit) -> None:
        self.oracle.settle(visit)
        self.ended += 1
        for notify in tuple(self.on_end):
            notify(visit)

    async def _answer(self, visit: Visit, raw: bytes, port: int) -> Response | None:
        """Return the response; None, and the visit says how it failed.

        A GET whose kept connection had closed is sent again, as every browser does.
        """
        for attempt in (0, 1):
            kept = None
            if attempt == 0 and random.random() >= self.fresh:
                kept = self.pool.take(port)
            try:
                return await self._exchange(kept, raw, port)
            except NoResponse as error:
                visit.raced = error.reused and not error.begun
                visit.raced = visit.raced and error.failure is Failure.CLOSED
                visit.failure = error.failure
                if not (visit.raced and visit.method == "GET"):
                    return None
                self.oracle.findings.retried += 1
        return None

    async def _exchange(
        self, kept: Connection | None, raw: bytes, port: int
    ) -> Response:
        connection = kept
        try:
            async with asyncio.timeout(DEADLINE):
                connection = connection or await Connection.open(port)
                response = await connection.exchange(raw)
        except TimeoutError:
            if connection is None:
                raise NoResponse(Failure.TIMEOUT, reused=False, begun=False) from None
            connection.abort()
            raise connection.timed_out() from None
        except NoResponse:
            if connection is not None:
                connection.abort()
            raise
        self.pool.keep(connection)
        return response

    def end(self, session: TrackedSession, by: str) -> None:
        """Note the answer to a sign-out: from now on it must not be let in."""
        session.ended_by = by
        session.state = State.ENDED
        session.ended_at = time.monotonic()
        self.dead.append(session)


def _token() -> str:
    return os.urandom(32).hex()
