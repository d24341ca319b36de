"""Connection to one Sentinel: five queries a second, and its events."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.cluster import describe_error
from gateway.sessions.redis.connect import open_connection
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.replication import Opinion, Place, read_opinion

# Seconds between two questions. A lease lasts five times as long.
POLL: Final = 0.2
# Seconds for an answer; a Sentinel that has none is queried again.
ANSWER: Final = 0.5
# Of so many questions one is for the other Sentinels.
OTHERS_EVERY: Final = 25

_SELECTED: Final = "+selected-slave"
# Each change of the master is announced by one of these, and then queried.
EVENTS: Final = (_SELECTED, "+promoted-slave", "+switch-master", "+config-update-from")


class SentinelLink:
    """Queries one Sentinel about a master, and receives its events."""

    def __init__(
        self,
        service: str,
        client: Redis,
        *,
        on_opinion: Callable[[str, Opinion], None],
        on_selected: Callable[[], None],
        on_others: Callable[[Mapping[str, Place]], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._service = service
        self._client = client
        self._on_opinion = on_opinion
        self._on_selected = on_selected
        self._on_others = on_others
        self._on_failure = on_failure
        self._poked = asyncio.Event()
        self.sentinel_id = ""
        self.failure = ""

    def poke(self) -> None:
        """Query immediately."""
        self._poked.set()

    async def poll_always(self) -> None:
        """Query until cancelled."""
        connection: RedisConnection | None = None
        turn = 0
        try:
            while True:
                try:
                    async with Patience(ANSWER):
                        if connection is None or connection.closed:
                            connection = await self._connected()
                        await self._query(connection, turn)
                        turn += 1
                except Exception as error:  # noqa: BLE001 - asked until it answers
                    if connection is not None:
                        connection.close()
                    self.failure = describe_error(error)
                    if isinstance(error, StoreUnavailable):
                        self.failure = str(error)
                    self._on_failure()
                await self._pause()
        finally:
            if connection is not None:
                connection.close()
            with contextlib.suppress(RedisError, OSError):
                await self._client.aclose()

    async def listen_always(self) -> None:
        """Receive events until cancelled; query the Sentinel after each."""
        while True:
            pubsub = self._client.pubsub()
            try:
                async with Patience(ANSWER):
                    await pubsub.subscribe(*EVENTS)
                # What was published until now went by: ask.
                self.poke()
                while True:
                    message = await pubsub.get_message(timeout=None)
                    if message is not None and message["type"] == "message":
                        self._on_message(message)
            except Exception:  # noqa: BLE001 - the queries report what is wrong
                await asyncio.sleep(POLL)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]

    def _on_message(self, message: Mapping[str, Any]) -> None:
        words = message["data"].decode("utf-8", "replace").split()
        if self._service not in words:
            return
        if message["channel"].decode() == _SELECTED:
            self._on_selected()
        self.poke()

    async def _connected(self) -> RedisConnection:
        connection = await open_connection(self._client)
        try:
            self.sentinel_id = (await connection.execute("SENTINEL", "MYID")).decode()
        except ResponseError:  # an old one, or not permitted
            self.sentinel_id = f"{id(self)}"
        except BaseException:
            connection.close()
            raise
        return connection

    async def _query(self, connection: RedisConnection, turn: int) -> None:
        asked = asyncio.get_running_loop().time()
        name = self._service
        commands = [
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
            ("SENTINEL", "MASTER", name),
            ("SENTINEL", "REPLICAS", name),
        ]
        if turn % OTHERS_EVERY == 0:
            commands.append(("SENTINEL", "SENTINELS", name))
        named, master, replicas, *rest = await connection.execute_all(commands)
        opinion = read_opinion(asked, named, master, replicas)
        if opinion is None:
            why = f": {describe_error(master)}" if isinstance(master, Exception) else ""
            raise StoreUnavailable(f"No master found for {name!r}{why}")
        self.failure = ""
        if rest and isinstance(rest[0], list):
            self._on_others(_others(rest[0]))
        self._on_opinion(self.sentinel_id, opinion)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await self._poked.wait()
        self._poked.clear()


def _others(listed: list[Any]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for flat in listed:
        words = iter(flat)
        fields = dict(zip(words, words, strict=False))
        sentinel_id, port = fields.get(b"runid", b""), fields.get(b"port", b"")
        if sentinel_id and port.isdigit():
            found[sentinel_id.decode()] = (fields[b"ip"].decode(), int(port))
    return found
