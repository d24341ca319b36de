"""One pipelined connection to Redis.

redis-py takes a connection from its pool for each call, checks it, and reads the
answer through several layers: some 100 µs of CPU. Here a question is written and its
answer read, in the order in which Redis gives them. Who opens the connection (TLS,
password, Sentinel) is not this module's business.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import hiredis

Command: TypeAlias = tuple[str | bytes | float, ...]
"""A command and its arguments; the first of them is the key."""


class RedisConnection(asyncio.Protocol):
    """A connection that is open; made of its writer, whose transport the line takes."""

    __slots__ = (
        "_loop",
        "_opened",
        "_reader",
        "_since",
        "_transport",
        "_waiting",
        "closed",
    )

    def __init__(
        self, opened: asyncio.StreamWriter, refusal: Callable[[str], Exception]
    ) -> None:
        """Wrap an open connection; `refusal` maps an error reply to an exception."""
        # Kept, though nothing is asked of it: from CPython 3.11.5 on a writer that is
        # collected closes its transport.
        self._opened = opened
        transport = opened.transport
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=refusal)
        self._transport = transport
        self._waiting: deque[asyncio.Future[Any] | _Batch] = deque()
        self._since = self._loop.time()
        self.closed = False
        transport.set_protocol(self)

    @property
    def age(self) -> float:
        """Seconds since the connection was opened."""
        return self._loop.time() - self._since

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._waiting)

    def execute(self, *command: str | bytes | float) -> asyncio.Future[Any]:
        """Send a command; the future is its answer.

        Fails with ConnectionError when the connection ends before, and with a
        `refusal` when Redis refuses. A caller that stops waiting closes the connection:
        Redis or the connection hangs, and which one is unknown.
        """
        answer = self._loop.create_future()
        if self.closed:
            answer.set_exception(ConnectionResetError(_GONE))
            return answer
        self._waiting.append(answer)
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type] # its stub takes one word
        return answer

    def execute_all(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send one or more commands in one write; the future is all their answers.

        A refusal is the answer to its command and fails no other; the connection's
        end fails them all, as with `execute`.
        """
        answers = self._loop.create_future()
        if self.closed:
            answers.set_exception(ConnectionResetError(_GONE))
            return answers
        batch = _Batch(answers, len(commands))
        self._waiting.extend([batch] * len(commands))
        self._transport.write(
            b"".join([hiredis.pack_command(each) for each in commands])  # type: ignore[arg-type] # as above
        )
        return answers

    def close(self) -> None:
        """Close immediately; pending commands fail."""
        if not self.closed:
            self._end(ConnectionAbortedError("the connection to Redis was given up"))

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Deliver each reply to its command."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                waiting = self._waiting.popleft()
                if waiting.done():
                    continue
                if isinstance(waiting, _Batch):
                    waiting.take(answer)
                elif isinstance(answer, Exception):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)
        except (hiredis.ProtocolError, IndexError):
            self._end(
                ConnectionAbortedError("the answer is not in the protocol of Redis")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all pending commands."""
        self._end(exc if isinstance(exc, OSError) else ConnectionResetError(_GONE))

    def _end(self, why: OSError) -> None:
        self.closed = True
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(why)


class _Batch:
    """Several commands with one future."""

    __slots__ = ("_answers", "_asked", "_came")

    def __init__(self, answers: asyncio.Future[list[Any]], asked: int) -> None:
        self._answers = answers
        self._asked = asked
        self._came: list[Any] = []

    def done(self) -> bool:
        """Return whether the caller no longer waits."""
        return self._answers.done()

    def take(self, answer: object) -> None:
        """Store the reply to the next command."""
        self._came.append(answer)
        if len(self._came) == self._asked:
            self._answers.set_result(self._came)

    def set_exception(self, error: Exception) -> None:
        """Fail the batch: no more replies will come."""
        self._answers.set_exception(error)


_GONE: Final = "the connection to Redis was closed"
