"""Supervisor of a plain address: the server behind it may be exchanged.

A virtual address, a name or a balancer leads new connections to another server, and
leaves old ones where they are. No event reports it. So every connection queries the
run id of its server, and a new one is opened each second to compare.
"""

import asyncio
from typing import Final

from redis.exceptions import NoPermissionError, ResponseError

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.cluster import describe_error
from gateway.sessions.redis.connections import Connections
from gateway.sessions.redis.events import InfoDenied, ServerIsReplica, ServerReplaced
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.replication import (
    Place,
    Replication,
    read_info,
    read_replication,
)
from gateway.sessions.redis.supervisor import LEASE, Supervisor

# Seconds between two looks at what answers at the address now.
EVERY: Final = 1.0
# Seconds for which a replica counts that its master does not see any more: longer
# than the longest hold, so a replica that was promoted is still waited for.
LINGER: Final = 4.0
_LONG: Final = float("inf")


class AddressSupervisor(Supervisor):
    """Compares what answers at a host and port, or at a Unix socket."""

    run_id: str | None = None
    info_allowed = True

    def _start(self) -> None:
        self._lease_until = _LONG
        self._seen: dict[Place, float] = {}
        self._was_replica = False
        self._adopt(None, master=False)
        self.spawn(self._compare_always())

    def needed(self, seen: Replication) -> int:
        """Those that are online, and those that were a moment ago.

        Only the master knows how many there are. One that receives the whole dataset
        gets this write with it.
        """
        now = asyncio.get_running_loop().time()
        self._note(seen, now)
        known = {place for place, at in self._seen.items() if now - at <= LINGER}
        return len(known - seen.syncing)

    async def confirm(self, connections: Connections) -> None:
        """Open one more connection: it may lead to another server than the others."""
        if self.info_allowed:
            (await connections.open()).close()

    def _reopen(self) -> None:
        self.run_id = None
        self._adopt(None, master=False)

    def _renew(self) -> None:
        """Do nothing: what answers at the address is what is read."""

    async def _greet(self, connection: RedisConnection) -> None:
        """Refuse a connection that has reached another run than the others."""
        if not self.info_allowed:
            return
        try:
            fields = read_info(await connection.execute("INFO", "server"))
        except NoPermissionError:
            # Reported by `check`; then nothing can be compared.
            self.info_allowed = False
            self.emit(InfoDenied())
            return
        except ResponseError:
            return  # for example, it is loading: look-ups will fail with that
        self._compare(fields.get("run_id", ""))

    def _compare(self, run_id: str) -> None:
        if not run_id or run_id == self.run_id:
            return
        if self.run_id is None:
            self.run_id = run_id
            return
        self.run_id = run_id
        self._seen.clear()
        self.emit(ServerReplaced(run_id))
        self._adopt(None, master=False)
        # So that the connection that was opened is not used: it is of the last
        # generation.
        raise StoreUnavailable("another server answers at this address now")

    async def _compare_always(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            connections = self._connections
            if connections is None or not self.info_allowed:
                continue
            try:
                async with Patience(max(self._timeout, EVERY)):
                    connection = await connections.open()
                    try:
                        self._judge(
                            read_replication(
                                await connection.execute("INFO", "replication")
                            )
                        )
                    finally:
                        connection.close()
            except Exception as error:  # noqa: BLE001 - a look-up finds out, too
                self.failure = describe_error(error)

    def _judge(self, seen: Replication) -> None:
        self._note(seen, asyncio.get_running_loop().time())
        replica = seen.role != "master"
        if replica and not self._was_replica:
            self.emit(ServerIsReplica(str(self._address)))
        self._was_replica = replica
        # A replica that has lost its master does not receive endings.
        lost = replica and not seen.link_up
        if lost:
            self.failure = "the server is a replica that has lost its master"
        self._lease_until = 0.0 if lost else _LONG
        if not lost:
            self._wake()

    def _note(self, seen: Replication, now: float) -> None:
        for place in seen.online:
            self._seen[place] = now
        for place in [p for p, at in self._seen.items() if now - at > LINGER + LEASE]:
            del self._seen[place]
