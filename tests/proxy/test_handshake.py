import pytest

from gateway.errors import InvalidUpstreamResponse
from gateway.proxy.handshake import Handshake, accept_for

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = {
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Accept": ACCEPT,
}
OFFER = Handshake(key=KEY, offered_protocols=frozenset({b"chat", b"v2"}))


def test_the_example_of_rfc_6455() -> None:
    assert accept_for(KEY) == ACCEPT


@pytest.mark.parametrize(
    "changed",
    [
        {b"Upgrade": None},
        {b"Upgrade": b"h2c"},
        {b"Upgrade": b"websocket, h2c"},
        {b"Connection": None},
        {b"Connection": b"close"},
        {b"Connection": b"keep-alive"},
        {b"Sec-WebSocket-Accept": None},
        {b"Sec-WebSocket-Accept": ACCEPT.lower()},
        {b"Sec-WebSocket-Accept": b""},
        {b"Sec-WebSocket-Protocol": b"other"},
        {b"Sec-WebSocket-Protocol": b"chat, v2"},
        {b"Sec-WebSocket-Protocol": b""},
        {b"sec-websocket-accept": b"a second one"},
        {b"upgrade": b"websocket"},
    ],
)
def test_a_101_that_does_not_fit_is_refused(changed: dict[bytes, bytes | None]) -> None:
    fields = {**GOOD, **changed}

    with pytest.raises(InvalidUpstreamResponse):
        OFFER.check([(n, v) for n, v in fields.items() if v is not None])


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {b"Upgrade": b"WebSocket"},
        {b"Connection": b"keep-alive, upgrade"},
        {b"Sec-WebSocket-Protocol": b"chat"},
        {b"Sec-WebSocket-Extensions": b"permessage-deflate"},
    ],
)
def test_a_101_that_fits_is_taken(changed: dict[bytes, bytes]) -> None:
    OFFER.check(list({**GOOD, **changed}.items()))


def test_two_subprotocols_are_refused() -> None:
    fields = [*GOOD.items(), *[(b"Sec-WebSocket-Protocol", b"chat")] * 2]

    with pytest.raises(InvalidUpstreamResponse):
        OFFER.check(fields)
