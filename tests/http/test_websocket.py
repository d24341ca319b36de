import pytest

from gateway.http.websocket import WebSocketOffer
from gateway.reasons import Reason
from tests.http.heads import head, refusal

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket"))
VERSION = ("Sec-WebSocket-Version", "13")

REFUSED = [
    pytest.param([VERSION], 400, id="no-key"),
    pytest.param([("Sec-WebSocket-Key", KEY)], 400, id="no-version"),
    pytest.param([VERSION, ("Sec-WebSocket-Key", "")], 400, id="key-empty"),
    pytest.param([VERSION, ("Sec-WebSocket-Key", KEY[:-2])], 400, id="key-unpadded"),
    pytest.param([VERSION, ("Sec-WebSocket-Key", "AAAA")], 400, id="key-short"),
    pytest.param([VERSION, ("Sec-WebSocket-Key", "A" * 24)], 400, id="key-18-bytes"),
    pytest.param([VERSION, ("Sec-WebSocket-Key", "*" * 24)], 400, id="key-no-base64"),
    pytest.param([VERSION, ("Sec-WebSocket-Key", KEY + KEY)], 400, id="key-long"),
    pytest.param(
        [VERSION, ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
        400,
        id="key-twice",
    ),
    pytest.param(
        [VERSION, VERSION, ("Sec-WebSocket-Key", KEY)], 400, id="version-twice"
    ),
    pytest.param(
        [("Sec-WebSocket-Version", "1337"), ("Sec-WebSocket-Key", KEY)],
        426,
        id="version-unknown",
    ),
    pytest.param(
        [("Sec-WebSocket-Version", ""), ("Sec-WebSocket-Key", KEY)],
        426,
        id="version-empty",
    ),
    pytest.param([("Sec-WebSocket-Version", "13, 8")], 426, id="version-list"),
]


@pytest.mark.parametrize(("fields", "status"), REFUSED)
def test_a_handshake_that_is_not_whole_is_refused(
    fields: list[tuple[str, str]], status: int
) -> None:
    found = refusal(*UPGRADE, *fields)

    assert (found.status, found.reason) == (status, Reason.BAD_UPGRADE)


def test_a_wrong_version_is_answered_with_the_right_one() -> None:
    found = refusal(*UPGRADE, ("Sec-WebSocket-Version", "8"))

    assert dict(found.headers) == {
        "Sec-WebSocket-Version": "13",
        "Upgrade": "websocket",
    }


def test_a_handshake_is_kept_for_the_upstream() -> None:
    fields = (
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", KEY.encode()),
        (b"Sec-WebSocket-Protocol", b"a, b"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
    )

    found = head(*UPGRADE, *fields)

    assert found.websocket == WebSocketOffer(key=KEY.encode(), protocols="a, b")
    assert found.headers == fields


def test_protocols_need_not_be_named() -> None:
    found = head(*UPGRADE, VERSION, ("Sec-WebSocket-Key", KEY)).websocket

    assert found is not None
    assert found.protocols is None
