"""Ends of access tokens of providers, in Redis: a key for each, until no token needs it."""

from contextlib import suppress
from math import inf

import orjson

from gateway.sessions.provider_link import read_mark
from gateway.sessions.provider_token import LEEWAY, LONGEST_LIFE, TokenFacts
from gateway.sessions.redis.marks import Marks
from gateway.sessions.redis.record_keys import (
    identity_end_key,
    logout_marks,
    token_end_key,
)


class RedisTokenEnds:
    """The TokenEnds in Redis or Valkey."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    async def end_token(self, key: str, seconds: float) -> None:
        """Set its mark."""
        await self._marks.hold(token_end_key(key), b"1", seconds + LEEWAY)

    async def end_identity(self, identity_id: str, now: float) -> None:
        """Set the mark of the identity."""
        await self._marks.hold(
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
        token, identity, *logouts = await self._marks.fetch(names)
        # By two clocks: who was ended a moment ago gets no token for a minute more.
        return (
            bool(token)
            or any(facts.issued_at <= _time(raw) + LEEWAY for raw in identity)
            or any(_means(raw, facts.issued_at) for each in logouts for raw in each)
        )


def _means(raw: bytes, issued_at: float) -> bool:
    mark = read_mark(raw)
    # Both by the provider's clock.
    return mark is None or issued_at <= mark.issued_at


def _time(raw: bytes) -> float:
    with suppress(ValueError):
        found = orjson.loads(raw)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
    return inf
