"""Ends of access tokens of providers, in Redis: a key for each, until no token needs it."""

from contextlib import suppress
from typing import Final

import orjson

from gateway.errors import StoreUnavailable
from gateway.sessions.provider_link import read_mark
from gateway.sessions.provider_token import (
    EVERY_TOKEN,
    LEEWAY,
    LONGEST_LIFE,
    TokenFacts,
)
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.ending import milliseconds
from gateway.sessions.redis.hold import Execute
from gateway.sessions.redis.record_keys import (
    ENDED_CHANNEL,
    MARK,
    identity_end_key,
    logout_marks,
    token_end_key,
)

_MESSAGE: Final = orjson.dumps({"key": EVERY_TOKEN, "reason": "revoked"})


class RedisTokenEnds:
    """The TokenEnds in Redis or Valkey."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def end_token(self, key: str, seconds: float) -> None:
        """Set its mark."""
        await hold_mark(self._client, token_end_key(key), b"1", seconds + LEEWAY)

    async def end_identity(self, identity_id: str, now: float) -> None:
        """Set the mark of the identity; any other one is older."""
        await hold_mark(
            self._client,
            identity_end_key(identity_id),
            orjson.dumps(now),
            LONGEST_LIFE + 2 * LEEWAY,
        )

    async def has_ended(self, facts: TokenFacts) -> bool:
        """Read all marks that could mean the token, in one round trip.

        A mark that cannot be read counts: it was written to end something.
        """
        names = [
            token_end_key(facts.key),
            identity_end_key(facts.identity_id),
            *logout_marks(facts.link),
        ]
        token, identity, *logouts = await self._client.fetch(names)
        for each in (token, identity, *logouts):
            if isinstance(each, StoreUnavailable):
                raise each
        if token is not None:
            return True
        # By two clocks: who was ended a moment ago gets no token for a minute more.
        if identity is not None and facts.issued_at <= _time(identity) + LEEWAY:
            return True
        return any(_means(raw, facts.issued_at) for raw in logouts if raw is not None)


async def hold_mark(client: RedisClient, name: str, raw: bytes, seconds: float) -> None:
    """Set a mark, notify the watchers, and return when that is durable."""
    keep = milliseconds(seconds)

    async def write(execute: Execute) -> None:
        await execute("EVAL", MARK, 1, name, raw, keep, ENDED_CHANNEL, _MESSAGE)

    await client.hold(name, write)


def _means(raw: object, issued_at: float) -> bool:
    mark = read_mark(raw) if isinstance(raw, bytes) else None
    # Both by the provider's clock.
    return mark is None or issued_at <= mark.issued_at


def _time(raw: object) -> float:
    with suppress(ValueError, TypeError):
        return float(orjson.loads(raw))  # type: ignore[arg-type]
    return float("inf")
