"""What every source of sessions in Redis does alike: watch, ping, warn and close."""

from typing import Any

from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.diagnosis import StoreWarning
from gateway.sessions.redis.endings import Endings
from gateway.sessions.redis.lookup import Lookups
from gateway.sessions.redis.watch import Watch
from gateway.sessions.store import OnChanged, OnEnded, OnResubscribe


class RedisSource:
    """The parts of a source of sessions that do not depend on its records."""

    _client: RedisClient
    _endings: Endings[Any]
    _lookups: Lookups[Any, Any, Any]
    _watch: Watch

    def watch(
        self,
        on_ended: OnEnded,
        on_resubscribe: OnResubscribe | None = None,
        on_changed: OnChanged | None = None,
    ) -> None:
        """Subscribe, and subscribe again whenever that is lost."""
        self._watch.add(on_ended, on_resubscribe, on_changed)

    async def ping(self) -> None:
        """Return if Redis answers in time.

        Raises:
            StoreUnavailable: it does not.
        """
        await self._client.ping()

    async def warnings(self) -> list[StoreWarning]:
        """Examine the settings and rights in Redis that sessions depend on."""
        return await self._client.warnings()

    async def close(self) -> None:
        """Stop watching, fail what waits, close the connections."""
        await self._watch.close()
        await self._endings.close()
        await self._lookups.close()
        await self._client.close()
