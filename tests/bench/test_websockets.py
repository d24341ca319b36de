from tests.bench.client import Destination
from tests.bench.websockets import accept, handshake


def test_the_key_of_rfc_6455_has_its_answer() -> None:
    """RFC 6455, 1.3."""
    answer = accept(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")

    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" in answer


def test_a_request_that_is_no_handshake_is_refused() -> None:
    assert accept(b"GET / HTTP/1.1\r\nHost: x").startswith(b"HTTP/1.1 400 ")


def test_sessions_open_their_websockets_in_turn() -> None:
    to = Destination(port=80, path="/app", cookies=("c=1", "c=2"))

    found = handshake(to, 3)

    assert found.startswith(b"GET /app/ws HTTP/1.1\r\n")
    assert b"Cookie: c=2\r\n" in found
