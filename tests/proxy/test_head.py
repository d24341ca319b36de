import pytest

from gateway.errors import InvalidUpstreamResponse
from gateway.http.response_fields import COOKIE, PLAIN
from gateway.proxy.head import MAX_FIELDS, MAX_HEAD_BYTES, HeadBytes, read_response_head

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1\t200 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"ICE/1.1 200 OK\r\n\r\n",
        OK + b"X: a\n\r\n",
        OK + b"X: a\r b\r\n\r\n",
        OK + b"X: a\r\n b\r\n\r\n",
        OK + b" X: a\r\n\r\n",
        OK + b"X\r\n\r\n",
        OK + b": a\r\n\r\n",
        OK + b"X(: a\r\n\r\n",
        OK + b"X\xe4: a\r\n\r\n",
        OK + b"X: a\x00\r\n\r\n",
        OK + b"X: a\r\n\r\nY: b\r\n\r\n",
        OK + b"X: a\r\n",
        OK + b"X: a\r\n\r\nrest",
        OK + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n",
    ],
)
def test_what_is_not_a_head_to_the_letter_is_refused(head: bytes) -> None:
    with pytest.raises(InvalidUpstreamResponse):
        read_response_head(head)


def test_a_head_is_read_as_it_was_sent() -> None:
    head = (
        b"HTTP/1.0 404\r\nX-Empty:\r\nx-space:\t a b \t\r\nX-High: \xe4\xff\r\n"
        b"X-Colon: a:b\r\nX-Twice: 1\r\nX-Twice: 2\r\n!#$%&'*+-.^_`|~9: y\r\n\r\n"
    )

    for _ in range(2):  # from the bytes, then from the memo
        found = read_response_head(head)

        assert (found.status, found.minor) == (404, 0)
        assert found.pairs() == [
            (b"X-Empty", b""),
            (b"x-space", b"a b"),
            (b"X-High", b"\xe4\xff"),
            (b"X-Colon", b"a:b"),
            (b"X-Twice", b"1"),
            (b"X-Twice", b"2"),
            (b"!#$%&'*+-.^_`|~9", b"y"),
        ]


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 \r\n\r\n", OK + b"\r\n", b"HTTP/1.1 200\r\n\r\n"]
)
def test_there_need_be_no_reason_and_no_field(head: bytes) -> None:
    found = read_response_head(head)

    assert (found.status, found.minor, found.fields) == (200, 1, [])


@pytest.mark.parametrize("at", range(1, 24))
def test_a_head_may_come_in_pieces(at: int) -> None:
    wire, held = OK + b"X: y\r\n\r\nbody", HeadBytes()

    assert held.final_head(wire[:at]) is None
    found = held.final_head(wire[at:])

    assert found is not None
    assert (found[0].pairs(), found[1]) == ([(b"X", b"y")], b"body")


@pytest.mark.parametrize("size", [1, 100, MAX_HEAD_BYTES])
def test_a_head_is_not_collected_without_end(size: int) -> None:
    held = HeadBytes()
    held.final_head(OK + b"X: ")

    with pytest.raises(InvalidUpstreamResponse, match="exceeds"):
        for _ in range(MAX_HEAD_BYTES // size + 1):
            held.final_head(b"x" * size)


@pytest.mark.parametrize(("size", "fits"), [(0, True), (1, False)])
@pytest.mark.parametrize("together", [True, False])
def test_the_end_counts(size: int, fits: bool, together: bool) -> None:
    head = OK + b"X: " + b"y" * (MAX_HEAD_BYTES - len(OK) - 7 + size) + b"\r\n\r\n"
    held = HeadBytes()
    pieces = [head] if together else [head[:30], head[30:]]

    if fits:
        found = [held.final_head(piece) for piece in pieces][-1]
        assert found is not None
        assert found[1] == b""
    else:
        with pytest.raises(InvalidUpstreamResponse):
            [held.final_head(piece) for piece in pieces]


@pytest.mark.parametrize(
    "start", [b"X", b"HTTP/1.1 abc\r\n", OK + b"<p>\r\n", OK + b"\0"]
)
def test_a_start_that_nothing_can_complete_is_refused_at_once(start: bytes) -> None:
    with pytest.raises(InvalidUpstreamResponse):
        HeadBytes().final_head(start)


def test_fields_are_normalized() -> None:
    wire = b"HTTP/1.1 200 OK\nX: a\n\t b \n c\r\nY : d\x01e\nSet-Cookie: f=\x01\n\nbody"

    found = HeadBytes().final_head(wire)

    assert found is not None
    assert [field.wire for field in found[0].fields if field.role == PLAIN] == [
        b"X: a b c\r\n",
        b"Y: d e\r\n",
    ]
    assert not found[0].roles & COOKIE
    assert found[1] == b"body"
