"""Read commands sent at once on the open connection: no task, no wait.

The common case of a look-up. Whatever else is the case is left to the general way,
which waits, opens connections and follows a change of the server (client.py): no
connection is open, the server may not be read now, the connection ends, the reply
is an error (but not that of a key of another type), or the server has changed
meanwhile. A read may be repeated.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from redis.exceptions import ResponseError

from gateway.sessions.redis.connections import Connections
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.supervisor import Supervisor


class WrongType:
    """What a key gives that holds something else than was asked for."""


OnReplies: TypeAlias = Callable[[list[Any] | None], None]


def send_now(
    supervisor: Supervisor, data: bytes, commands: int, done: OnReplies
) -> RedisConnection | None:
    """Send encoded commands in one write; return the connection, or None if none was sent.

    `done` is called once, later, with the replies in their order, each valid for the
    server that is the current one then; with None if the general way has to be taken.
    """
    connections = supervisor.usable()
    connection = None if connections is None else connections.ready()
    if connections is None or connection is None:
        return None
    connection.send(data, commands, partial(_received, supervisor, connections, done))
    return connection


def _received(
    supervisor: Supervisor,
    connections: Connections,
    done: OnReplies,
    replies: list[Any] | OSError,
) -> None:
    if isinstance(replies, OSError) or not supervisor.is_current(connections):
        done(None)
        return
    if _ORDINARY.issuperset(map(type, replies)) or _replaced(replies):
        done(replies)
    else:
        done(None)


_ORDINARY: Final = frozenset((bytes, int, list, type(None)))


def _replaced(replies: list[Any]) -> bool:
    """Replace the errors for a key of another type; return whether there are no others."""
    for at, each in enumerate(replies):
        if not isinstance(each, Exception):
            continue
        if not is_wrong_type(each):
            return False
        # The key is named by a client: its type must not cost others a round trip.
        replies[at] = WrongType()
    return True


def is_wrong_type(reply: object) -> bool:
    """Return whether a reply is the error for a key of another type."""
    return isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE")
