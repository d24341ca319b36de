"""A body ends at its last byte, in whatever pieces it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.response_fields import ResponseField
from gateway.proxy.framing import read_framing
from gateway.proxy.head import ResponseHead
from gateway.proxy.response_body import BodyReader, body_reader

LENGTH = (b"Content-Length", b"5")
CHUNKED = (b"Transfer-Encoding", b"chunked")


def reader(*fields: tuple[bytes, bytes]) -> BodyReader:
    received = [ResponseField(name, value) for name, value in fields]
    return body_reader(read_framing("GET", ResponseHead(200, 1, received)))


@pytest.mark.parametrize(
    ("field", "wire", "content", "clean"),
    [
        (LENGTH, b"12345", b"12345", True),
        (LENGTH, b"12345HTTP/1.1 200 OK", b"12345", False),
        (CHUNKED, b"5\r\n12345\r\n0\r\n\r\n", b"12345", True),
        (CHUNKED, b"5\r\n12345\r\n0\r\n\r\nHTTP", b"12345", False),
    ],
)
@pytest.mark.parametrize("at", range(1, 10))
def test_the_end_is_known_to_the_byte(
    field: tuple[bytes, bytes], wire: bytes, content: bytes, clean: bool, at: int
) -> None:
    body = reader(field)

    read = body.read(wire[:at])
    if not body.ended:
        read += body.read(wire[at:])

    assert (read, body.ended, body.error) == (content, True, None)
    assert body.clean is clean or at == len(content)  # what follows has not come yet


@given(st.lists(st.binary(min_size=1, max_size=3), max_size=6))
def test_a_short_body_has_not_ended(pieces: list[bytes]) -> None:
    body = reader((b"Content-Length", b"100"))

    assert [body.read(piece) for piece in pieces] == pieces
    assert not body.ended


def test_a_body_without_a_length_has_no_end() -> None:
    body = reader()

    assert body.read(b"0\r\n\r\n") == b"0\r\n\r\n"
    assert (body.ended, body.error) == (False, None)


def test_broken_chunks_are_an_error() -> None:
    body = reader(CHUNKED)

    body.read(b"x\r\n")

    assert body.error is not None
