"""Fields that apply to one connection: Connection, Upgrade and Expect."""

from collections.abc import Mapping
from typing import Final

from gateway.http.fields import Fields
from gateway.http.headers import Line
from gateway.http.memo import Memo
from gateway.http.refusal import BadRequest
from gateway.http.websocket import WebSocketOffer, read_offer
from gateway.reasons import Reason


def connection_options(value: str) -> frozenset[str]:
    """Return the options of a Connection field (RFC 9110, section 7.6.1), in lower case."""
    return _OPTIONS[value]


def _options_in(value: str) -> frozenset[str]:
    return frozenset(option.strip(" \t") for option in value.lower().split(","))


# An option takes some sixty times the two bytes of "a,": what is kept is short.
_OPTIONS: Final = Memo(_options_in, entries=256, longest=128)


def drop_named(lines: tuple[Line, ...], options: frozenset[str]) -> tuple[Line, ...]:
    """Return the fields that Connection does not list; listed ones are hop-by-hop."""
    if options <= _PLAIN_OPTIONS:
        return lines
    return tuple(
        line for line in lines if line.name.decode("ascii").lower() not in options
    )


def read_upgrade(
    fields: Fields, options: frozenset[str], *, plain_get: bool
) -> WebSocketOffer | BadRequest | None:
    """Return the WebSocket handshake of an HTTP/1.1 request, if it is one.

    Returns:
        None for a request that is answered as if it had no Upgrade: "upgrade" is not
        among the Connection options, WebSocket is not among the protocols, or the
        request is not a GET without a body (`plain_get`). RFC 9110, section 7.8: a
        server MAY ignore the field; h2c and TLS are offered by clients that go on with
        HTTP/1.1. BadRequest for an invalid WebSocket handshake.
    """
    wanted = fields.values.get("upgrade")
    if wanted is None or "upgrade" not in options or not plain_get:
        return None
    protocols = (protocol.strip(" \t") for protocol in wanted.lower().split(","))
    if "websocket" not in protocols:
        return None
    return read_offer(fields.values, fields.repeated)


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
