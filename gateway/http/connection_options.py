"""What concerns this connection only: its options, its end, another protocol."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from gateway.http.fields import Fields
from gateway.http.headers import Field
from gateway.http.refusal import BadRequest
from gateway.http.websocket import WebSocketOffer, read_offer
from gateway.reasons import Reason


@lru_cache(maxsize=256)
def connection_options(value: str) -> frozenset[str]:
    """Give the options of a Connection field (RFC 9110, section 7.6.1)."""
    return frozenset(option.strip(" \t") for option in value.lower().split(","))


def drop_named(fields: list[Field], options: frozenset[str]) -> list[Field]:
    """Drop the fields that Connection names; they were meant for us alone."""
    if options <= _PLAIN_OPTIONS:
        return fields
    return [f for f in fields if f[0].decode("ascii").lower() not in options]


def read_upgrade(
    fields: Fields, options: frozenset[str], *, plain_get: bool
) -> WebSocketOffer | BadRequest | None:
    """Read what an HTTP/1.1 request wants to become.

    Without "upgrade" among the options the Upgrade field says nothing. Only
    WebSocket is spoken; asked for with anything but a GET without a body
    (`plain_get`) it is ignored, as RFC 9110, section 7.8, lets us.
    """
    wanted = fields.values.get("upgrade")
    if wanted is None or "upgrade" not in options:
        return None
    if wanted.lower() != "websocket":
        return BadRequest(
            status=501,
            reason=Reason.BAD_UPGRADE,
            detail="only WebSocket upgrades are offered",
        )
    return read_offer(fields.values, fields.repeated) if plain_get else None


def read_expectation(values: Mapping[str, str]) -> bool | BadRequest:
    """Tell whether an HTTP/1.1 client waits for a 100 before it sends its body."""
    expected = values.get("expect")
    if expected is None:
        return False
    if expected.lower() == "100-continue":
        return True
    return BadRequest(
        status=417,
        reason=Reason.BAD_EXPECTATION,
        detail="the expectation is not known",
    )


NO_OPTIONS: Final[frozenset[str]] = frozenset()
_PLAIN_OPTIONS: Final = frozenset(("close", "keep-alive", "upgrade", ""))
