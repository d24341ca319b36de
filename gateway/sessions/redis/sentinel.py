"""Supervisor of a master named by Sentinels: queries all and follows their events.

After `SENTINEL FAILOVER` the old master answers as "master" for ten seconds more, so
a server is not asked whether it is the master; the Sentinels are. A name is taken at
the first word of it whose config-epoch is higher than that of the one in use.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.cluster import describe_error
from gateway.sessions.redis.connect import make_sentinel, make_server, refuses
from gateway.sessions.redis.connections import Connections
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.replication import Opinion, Place, Replication
from gateway.sessions.redis.sentinel_link import POLL, SentinelLink
from gateway.sessions.redis.supervisor import LEASE, Supervisor, query_replication

# Seconds. A master that was just named has the word of the Sentinel that made it one: the failover
# had a majority, and the next one cannot follow at once.
GRACE: Final = 2.5
# Seconds for which a selected replica may take to be promoted.
SELECTED: Final = 3.0
# Below this `down-after-milliseconds` (here in seconds), the silence of replicas,
# which is counted in whole seconds, comes too late to prove anything.
LEAST_DOWN_AFTER: Final = 2.0
# Seconds for which a Sentinel's list of replicas counts.
FRESH: Final = 10.0


class SentinelSupervisor(Supervisor):
    """Follows the master of one service name through all its Sentinels."""

    def _start(self) -> None:
        self._links: dict[Place, SentinelLink] = {}
        self._opinions: dict[str, Opinion] = {}
        self._place: Place | None = None
        self._epoch = -1
        self._former: set[Place] = set()
        self._refused: set[Place] = set()
        self._selected_until = 0.0
        self._replicas_at = float("-inf")
        self._grace_until = 0.0
        for host in self._address.hosts:
            self._follow(host)
        self.spawn(self._watch_master())

    @property
    def switching(self) -> bool:
        """Whether a replica has been selected, or the new master is not ready."""
        selected = asyncio.get_running_loop().time() < self._selected_until
        return selected or super().switching

    def check(self) -> None:
        """Raise where no Sentinel names a master: they were all asked."""
        super().check()
        failures = [link.failure for link in self._links.values() if link.failure]
        if self._place is None and len(failures) == len(self._links):
            raise StoreUnavailable(failures[-1])

    def needed(self, seen: Replication) -> int:
        """All that Sentinels know of, not only those that the master still sees.

        A replica that has just been promoted is missing at its old master, and has
        what counts. Left out are those that cannot take over: down for longer than a
        failover takes to begin, or down and never seen; those whose port refuses;
        those that are being filled; and a former master until it is a replica.
        """
        now = asyncio.get_running_loop().time()
        known: set[Place] = set()
        for opinion in self._fresh(now, FRESH):
            known |= {
                each.place
                for each in opinion.replicas
                if each.down <= (opinion.down_after if each.answered else 0.0)
            }
        known -= {self._place, *self._former}
        return max(len(known - seen.syncing - self._refused), len(seen.online))

    async def confirm(self, connections: Connections) -> None:
        """Do nothing: the Sentinels confirm the master continuously."""

    # the Sentinels

    def _follow(self, place: Place) -> None:
        if place in self._links:
            return
        link = SentinelLink(
            self._address.service,
            make_sentinel(self._address, self._timeout, place),
            on_opinion=self._on_opinion,
            on_selected=self._select,
            on_others=self._meet,
            on_failure=self._wake,
        )
        self._links[place] = link
        self.spawn(link.poll_always())
        self.spawn(link.listen_always())

    def _meet(self, others: Mapping[str, Place]) -> None:
        """Follow the Sentinels that one of them knows of, too."""
        known = {link.sentinel_id for link in self._links.values()}
        for sentinel_id, place in others.items():
            if sentinel_id not in known:
                self._follow(place)

    def _select(self) -> None:
        self._selected_until = asyncio.get_running_loop().time() + SELECTED
        self._wake()

    def _on_opinion(self, sentinel_id: str, opinion: Opinion) -> None:
        self._opinions[sentinel_id] = opinion
        if opinion.place != self._place:
            if opinion.epoch > self._epoch or self._all_agree(opinion):
                self._move(opinion)
        elif opinion.epoch > self._epoch:
            self._epoch = opinion.epoch
        self._renew()

    def _all_agree(self, opinion: Opinion) -> bool:
        """Return whether every Sentinel names the same other master.

        Then they were all set up again, and their epochs start over.
        """
        fresh = self._fresh(opinion.asked, LEASE)
        return len(fresh) >= opinion.sentinels and all(
            each.place == opinion.place and each.epoch == opinion.epoch
            for each in fresh
        )

    def _move(self, opinion: Opinion) -> None:
        first = self._place is None
        if self._place is not None:
            self._former.add(self._place)
        self._former.discard(opinion.place)
        self._place, self._epoch = opinion.place, opinion.epoch
        self._selected_until = 0.0
        self._replicas_at = float("-inf")
        self._refused.clear()
        if not first:
            self._grace_until = opinion.asked + GRACE
        self._adopt(opinion.place, master=True)

    def _reopen(self) -> None:
        if self._place is not None:
            self._adopt(self._place, master=True)
        for link in self._links.values():
            link.poke()

    # the lease

    def _renew(self) -> None:
        """The word of a majority, or that of all replicas: one of them is enough."""
        now = asyncio.get_running_loop().time()
        fresh = self._fresh(now, FRESH)
        naming = sorted(
            (each.asked for each in fresh if each.place == self._place), reverse=True
        )
        majority = max((each.sentinels for each in fresh), default=1) // 2 + 1
        until = self._grace_until
        if len(naming) >= majority:
            until = max(until, naming[majority - 1] + LEASE)
        if self.down_after >= LEAST_DOWN_AFTER:
            until = max(until, self._replicas_at + LEASE)
        self._lease_until = until
        if until > now:
            self._wake()
        else:
            self.failure = (
                "no majority of the Sentinels names this master, and not all of its"
                " replicas are there"
            )

    @property
    def down_after(self) -> float:
        """The least `down-after-milliseconds` of the Sentinels, in seconds."""
        return min((each.down_after for each in self._opinions.values()), default=0.0)

    def _fresh(self, now: float, age: float) -> list[Opinion]:
        return [each for each in self._opinions.values() if now - each.asked <= age]

    # the master

    async def _greet(self, connection: RedisConnection) -> None:
        """Accept every connection: the Sentinels decide which server it leads to."""

    async def _watch_master(self) -> None:
        replid, watched = "", None
        while True:
            await asyncio.sleep(POLL)
            connections = self._connections
            if connections is None or not self._open:
                continue
            if connections is not watched:
                replid, watched = "", connections
            asked = asyncio.get_running_loop().time()
            try:
                async with Patience(LEASE), connections.lend() as connection:
                    seen = await query_replication(connection)
            except Exception as error:  # noqa: BLE001 - no lease by replicas then
                self.failure, seen = describe_error(error), None
            if seen is None or not self.is_current(connections):
                continue
            if seen.role != "master" or (replid and seen.replid != replid):
                # Demoted; or restarted, perhaps without its data.
                self.suspect(f"the master is a {seen.role} now, or another run")
                continue
            replid = seen.replid
            await self._count(seen, asked)

    async def _count(self, seen: Replication, asked: float) -> None:
        listed = {
            each.place
            for opinion in self._fresh(asked, FRESH)
            for each in opinion.replicas
        } - {self._place, *self._former}
        missing = listed - seen.online - seen.syncing
        if not missing and seen.lag <= 1:
            self._replicas_at = asked
        for place in missing:
            if await refuses(make_server(self._address, self._timeout, place)):
                self._refused.add(place)
            else:
                self._refused.discard(place)
        self._refused -= seen.online
        self._former -= seen.online | seen.syncing
        self._renew()
