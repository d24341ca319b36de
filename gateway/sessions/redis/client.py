"""The door to Redis for all others: every call has a deadline, every error a name.

The library's defaults (ten retries with pauses, five seconds for each) would hold a
request for half a minute. Here a call ends within `timeout`, pauses included, and
is repeated once, at once, and only where a pooled connection turned out to be dead.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.cluster import (
    fetch_from_cluster,
    send_to_cluster,
    told,
    value_of,
)
from gateway.sessions.redis.connect import (
    MAX_CONNECTIONS,
    Plain,
    common_options,
    make_client,
    open_line,
)
from gateway.sessions.redis.line import Command, Line
from gateway.sessions.redis.names import resolving
from gateway.sessions.redis.url import RedisAddress

SCAN_STEP: Final = 1000
# A silent subscription is asked whether it still lives.
HEARTBEAT: Final = 5.0


class WrongType:
    """What a key gives that holds something else than was asked for."""


Read: TypeAlias = bytes | int | WrongType | StoreUnavailable

T = TypeVar("T")


class RedisClient:
    """Redis by address: server, socket, Sentinel or Cluster, all the same here.

    Every method raises StoreUnavailable, and nothing else, when Redis cannot be
    asked, does not answer in time, or answers that it cannot serve.
    """

    def __init__(self, address: RedisAddress, *, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._line: Line | None = None
        self._opening = asyncio.Lock()
        self._client: Plain | None = None
        self._sentinel: Sentinel | None = None
        self._closed = False

    async def fetch(self, keys: list[str]) -> list[bytes | StoreUnavailable | None]:
        """Give the values of distinct keys, in one round trip (one per node)."""
        client = self._open()
        if isinstance(client, RedisCluster):
            return await self._within(
                lambda: fetch_from_cluster(client, keys, self._timeout)
            )
        return await self._within(
            lambda: self._on_line(client, lambda line: line.ask("MGET", *keys))
        )

    async def read_with(
        self, commands: Sequence[Command], keys: Sequence[str]
    ) -> tuple[list[Read], list[bytes | StoreUnavailable | None]]:
        """Send commands that read, and ask for the values of distinct keys.

        All in one round trip (one per node). Each has its answer, in their order,
        or its own failure: a key that holds something else than a command asks for,
        or a node that is away, takes nothing from the others.
        """
        client = self._open()
        if isinstance(client, RedisCluster):
            gets: list[Command] = [("GET", key) for key in keys]
            answers = await self._within(
                lambda: send_to_cluster(client, [*commands, *gets], self._timeout)
            )
            values = [value_of(each) for each in answers[len(commands) :]]
        else:
            mget: list[Command] = [("MGET", *keys)] if keys else []
            answers = await self._within(
                lambda: self._on_line(
                    client, lambda line: _all_on(line, [*commands, *mget])
                )
            )
            told_all = answers[-1] if keys else []
            if isinstance(told_all, Exception):
                failure = StoreUnavailable(told(told_all))
                values = [failure for _ in keys]
            else:
                values = told_all
        return [_answer(each) for each in answers[: len(commands)]], values

    async def _on_line(self, client: Redis, ask: Callable[[Line], Awaitable[T]]) -> T:
        """Ask on the line that all look-ups share; on a new one if that has ended."""
        for last in (False, True):
            line = self._line
            if line is None or line.closed:
                async with self._opening:
                    line = self._line
                    if line is None or line.closed:
                        line = self._line = await open_line(client)
            try:
                return await ask(line)
            except ConnectionError:
                # Redis may have closed it while nobody asked; a look-up may be
                # repeated, as it changes nothing.
                if last:
                    raise
            except BaseException:
                # No answer in time, or one that no healthy Redis gives: the next
                # look-up finds out anew where Redis is.
                line.close()
                raise
        raise AssertionError

    async def get(self, key: str) -> bytes | None:
        """Give one value; None also where the key holds something else."""
        (value,) = await self.fetch([key])
        if isinstance(value, StoreUnavailable):
            raise value
        return value

    async def call(self, *command: str | bytes | float) -> Any:
        """Send one command; on Cluster its first key tells the node."""
        client = self._open()
        return await self._within(lambda: _command(client, *command))

    async def scan(self, pattern: str) -> list[str]:
        """Name the keys that match; walks through all keys, so for operators only.

        No deadline as a whole, which grows with the keys; each step has its own.
        """
        client = self._open()
        steps = client.scan_iter(match=pattern, count=SCAN_STEP)
        found: list[str] = []
        while (key := await self._within(lambda: anext(steps, None))) is not None:
            found.append(key.decode("utf-8", "surrogateescape"))
        return found

    async def run_script(
        self, script: str, key: str, *args: str | bytes | float
    ) -> Any:
        """Run a Lua script on one key."""
        return await self.call("EVAL", script, 1, key, *args)

    async def ping(self) -> None:
        """Return if Redis can serve reads now."""
        client = self._open()
        # A read, not PING: a Cluster that is down still answers PING.
        await self._within(lambda: _command(client, "EXISTS", "gateway:ping"))

    @contextlib.asynccontextmanager
    async def subscription(
        self, channel: str
    ) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """Subscribe; give a function that waits for the next message.

        That function raises StoreUnavailable when the subscription is lost.
        """
        client = self._open()
        own: Redis | None = None
        if isinstance(client, RedisCluster):
            # PUBLISH reaches every node, so any node will do.
            await self.ping()  # which learns the nodes
            node = client.get_random_node()
            own = resolving(
                Redis(
                    host=node.host,
                    port=int(node.port),
                    **common_options(self._address, self._timeout),
                ),
                self._address.resolver,
            )
            pubsub = own.pubsub()
        else:
            pubsub = client.pubsub()
        try:
            await self._within(lambda: _subscribe(pubsub, channel))

            async def next_message() -> bytes:
                return await self._translated(lambda: _next(pubsub, self._timeout))

            yield next_message
        finally:
            await _quietly(pubsub.aclose())  # type: ignore[no-untyped-call]
            if own is not None:
                await _quietly(own.aclose())

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._line is not None:
            self._line.close()
        client, self._client = self._client, None
        if client is not None:
            await _quietly(client.aclose())
        if self._sentinel is not None:
            await _quietly(self._sentinel.aclose())

    def _open(self) -> Plain:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._client is None:
            try:
                self._client, self._sentinel = make_client(self._address, self._timeout)
            except (OSError, ValueError) as error:  # a certificate file, say
                raise StoreUnavailable(told(error)) from error
        return self._client

    async def _within(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout), self._free:
                return await self._translated(work)
        except TimeoutError as error:
            raise StoreUnavailable(
                f"no answer within {self._timeout * 1000:.0f} ms"
            ) from error

    async def _translated(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except StoreUnavailable:
            raise
        except Exception as error:
            # Also what the library raises by mistake: not knowing is an outage.
            raise StoreUnavailable(told(error)) from error


async def _all_on(line: Line, commands: Sequence[Command]) -> list[Any]:
    answers = await line.ask_all(commands)
    if any(isinstance(each, Exception) and not _is_meant(each) for each in answers):
        # As above: what no healthy Redis says. What it did answer is good.
        line.close()
    return answers


def _is_meant(refusal: Exception) -> bool:
    """Tell whether another connection would hear the same: it is about the key."""
    return _is_wrong_type(refusal) or isinstance(refusal, NoPermissionError)


def _is_wrong_type(answer: object) -> bool:
    return isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE")


def _answer(answer: Any) -> Read:
    if isinstance(answer, bytes | int):
        return answer
    if _is_wrong_type(answer):
        return WrongType()
    return StoreUnavailable(told(answer))


async def _subscribe(pubsub: PubSub, channel: str) -> None:
    await pubsub.subscribe(channel)
    while (message := await pubsub.get_message(timeout=HEARTBEAT)) is None or (
        message["type"] != "subscribe"
    ):
        pass


async def _next(pubsub: PubSub, patience: float) -> bytes:
    asked = False
    while True:
        message = await pubsub.get_message(timeout=patience if asked else HEARTBEAT)
        if message is None:
            if asked:
                raise StoreUnavailable("the subscription is silent")
            await pubsub.ping()
            asked = True
            continue
        asked = False
        if message["type"] == "subscribe":
            # The library has connected anew on its own; what was said meanwhile
            # is lost, and that must be known.
            raise StoreUnavailable("the subscription was interrupted")
        if message["type"] == "message":
            data: bytes = message["data"]
            return data


async def _command(client: Plain, *command: str | bytes | float) -> Any:
    return await client.execute_command(*command)


async def _quietly(closing: Awaitable[None]) -> None:
    with contextlib.suppress(RedisError, OSError):  # it is closed either way
        await closing
