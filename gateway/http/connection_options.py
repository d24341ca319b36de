"""Fields that apply to one connection: Connection, Upgrade and Expect."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from gateway.http.fields import Fields
from gateway.http.headers import Line
from gateway.http.refusal import BadRequest
from gateway.http.websocket import WebSocketOffer, read_offer
from gateway.reasons import Reason


@lru_cache(maxsize=256)
def connection_options(value: str) -> frozenset[str]:
    """Return the options of a Connection field (RFC 9110, section 7.6.1), in lower case."""
    return frozenset(option.strip(" \t") for option in value.lower().split(","))


def drop_named(lines: list[Line], options: frozenset[str]) -> list[Line]:
    """Return the fields that Connection does not list; listed ones are hop-by-hop."""
    if options <= _PLAIN_OPTIONS:
        return lines
    return [line for line in lines if line.name.decode("ascii").lower() not in options]


def read_upgrade(
    fields: Fields, options: frozenset[str], *, plain_get: bool
) -> WebSocketOffer | BadRequest | None:
    """Return the WebSocket handshake of an HTTP/1.1 request, if it is one.

    Returns:
        None without "upgrade" among the Connection options. An upgrade to WebSocket
        that is not a GET without a body (`plain_get`) is ignored as well (RFC 9110,
        section 7.8). BadRequest for an invalid handshake, and for another protocol.
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
    """Return whether an HTTP/1.1 client waits for `100 Continue`; BadRequest otherwise."""
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
