"""Subscription to sessions that end or change in other processes."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import orjson

from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.record_keys import ENDED_CHANNEL
from gateway.sessions.store import OnChanged, OnEnded, OnResubscribe

# Pauses between attempts to subscribe, in seconds; the last one stays. With the
# time-out of an attempt it is how long after an outage nothing is received.
PAUSES: Final = (0.05, 0.1, 0.2, 0.25)


# Which sessions a message is about.
KeysIn: TypeAlias = Callable[[Mapping[str, Any]], Iterable[str]]


def key_in(fields: Mapping[str, Any]) -> Iterable[str]:
    """Return the one key of a message."""
    key = fields.get("key")
    return (key,) if isinstance(key, str) else ()


class Watch:
    """Calls back for each session that a message names; owns the task that listens."""

    def __init__(self, client: RedisClient, keys_in: KeysIn = key_in) -> None:
        self._client = client
        self._keys_in = keys_in
        self._on_ended: list[OnEnded] = []
        self._on_resubscribe: list[OnResubscribe] = []
        self._on_changed: list[OnChanged] = []
        self._task: asyncio.Task[None] | None = None
        self._listening = False

    def add(
        self,
        on_ended: OnEnded,
        on_resubscribe: OnResubscribe | None,
        on_changed: OnChanged | None = None,
    ) -> None:
        """Add callbacks; the first one starts the listening."""
        self._on_ended.append(on_ended)
        if on_changed is not None:
            self._on_changed.append(on_changed)
        if on_resubscribe is not None:
            self._on_resubscribe.append(on_resubscribe)
            if self._listening:
                _shielded(on_resubscribe)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with self._client.subscription(ENDED_CHANNEL) as next_message:
                    # What ended until now was not received here.
                    for on_resubscribe in self._on_resubscribe:
                        _shielded(on_resubscribe)
                    failures = 0
                    self._listening = True
                    while True:
                        self._dispatch(await next_message())
            except Exception:  # noqa: BLE001 - to stay deaf would be worse
                self._listening = False
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1

    def _dispatch(self, message: bytes) -> None:
        try:
            fields = orjson.loads(message)
        except orjson.JSONDecodeError:
            return
        if not isinstance(fields, dict):
            return
        if fields.get("changed") is True:
            for key in key_in(fields):
                for on_changed in self._on_changed:
                    _shielded(partial(on_changed, key))
        if not isinstance(fields.get("reason"), str):
            return
        for key in self._keys_in(fields):
            for on_ended in self._on_ended:
                _shielded(partial(on_ended, key, fields["reason"]))


def _shielded(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - one callback must not deafen the others
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a session watcher failed", "exception": error}
        )
