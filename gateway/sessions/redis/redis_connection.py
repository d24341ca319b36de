"""One pipelined connection to Redis.

redis-py takes a connection from its pool for each call, checks it, and reads the
answer through several layers: some 100 µs of CPU. Here a question is written and its
answer read, in the order in which Redis gives them. Who opens the connection (TLS,
password, Sentinel) is not this module's business.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import hiredis

Command: TypeAlias = tuple[str | bytes | float, ...]
"""A command and its arguments; the first of them is the key."""


OnAnswers: TypeAlias = Callable[[list[Any] | OSError], None]
"""Takes all answers, or the reason why the connection has ended."""

encode: Final[Callable[[Command], bytes]] = hiredis.pack_command  # type: ignore[assignment] # its stub takes one word
"""Returns a command in the protocol of Redis."""


class RedisConnection(asyncio.Protocol):
    """A connection that is open; made of its writer, whose transport the line takes."""

    __slots__ = (
        "_loop",
        "_opened",
        "_reader",
        "_transport",
        "_waiting",
        "closed",
        "since",
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
        # What takes the answers to some commands, their number, and those that came.
        self._waiting: deque[tuple[OnAnswers, int, list[Any]]] = deque()
        self.since = self._loop.time()  # when it was opened
        self.closed = False
        transport.set_protocol(self)

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
        else:
            self.send(encode(command), 1, partial(_settle_one, answer))
        return answer

    def execute_all(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send one or more commands in one write; the future is all their answers.

        A refusal is the answer to its command and fails no other; the connection's
        end fails them all, as with `execute`.
        """
        answers = self._loop.create_future()
        if self.closed:
            answers.set_exception(ConnectionResetError(_GONE))
        else:
            data = b"".join(map(encode, commands))
            self.send(data, len(commands), partial(_settle, answers))
        return answers

    def send(self, data: bytes, commands: int, done: OnAnswers) -> None:
        """Send one or more encoded commands in one write, on a connection that is open.

        `done` is called once, later, and must not raise: with all their answers, as
        those of `execute_all`, or with the reason why the connection has ended.
        """
        self._waiting.append((done, commands, []))
        self._transport.write(data)

    def close(self) -> None:
        """Close immediately; pending commands fail."""
        if not self.closed:
            self._end(ConnectionAbortedError("the connection to Redis was given up"))

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Deliver each reply to its command."""
        reader, waiting = self._reader, self._waiting
        reader.feed(data)
        # Who takes a reply may close the connection.
        while not self.closed:
            try:
                answer = reader.gets()
                if answer is False:
                    return
                done, commands, answers = waiting[0]
            except (hiredis.ProtocolError, IndexError):
                self._end(
                    ConnectionAbortedError("the answer is not in the protocol of Redis")
                )
                return
            answers.append(answer)
            if len(answers) == commands:
                waiting.popleft()
                done(answers)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all pending commands."""
        self._end(exc if isinstance(exc, OSError) else ConnectionResetError(_GONE))

    def _end(self, why: OSError) -> None:
        self.closed = True
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for done, _, _ in waiting:
            done(why)


def _settle(future: asyncio.Future[Any], answer: object) -> None:
    if future.done():  # its caller was cancelled
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _settle_one(future: asyncio.Future[Any], answers: list[Any] | OSError) -> None:
    _settle(future, answers if isinstance(answers, OSError) else answers[0])


_GONE: Final = "the connection to Redis was closed"
