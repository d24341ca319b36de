import pytest

from gateway.errors import InvalidUpstreamResponse
from gateway.http.response_fields import NOT_END_TO_END, ResponseField
from gateway.proxy.framing import BodyKind, Framing, read_framing
from gateway.proxy.head import ResponseHead, read_response_head

LENGTH = (b"Content-Length", b"5")
CHUNKED = (b"Transfer-Encoding", b"chunked")
CLOSE = (b"Connection", b"close")
BRIEFLY = (b"Keep-Alive", b"timeout=5")


def framing(
    *fields: tuple[bytes, bytes], method: str = "GET", status: int = 200, minor: int = 1
) -> Framing:
    received = [ResponseField(name, value) for name, value in fields]
    return read_framing(method, ResponseHead(status, minor, received))


@pytest.mark.parametrize(
    ("fields", "minor"),
    [
        ([(b"Content-Length", b"1"), (b"content-length", b"2")], 1),
        ([(b"Content-Length", b"")], 1),
        ([(b"Content-Length", b"+1")], 1),
        ([(b"Content-Length", b"1, 1")], 1),
        ([(b"Content-Length", b"1" * 19)], 1),
        ([(b"Transfer-Encoding", b"gzip, chunked")], 1),
        ([(b"Transfer-Encoding", b"chunked, gzip")], 1),
        ([(b"Transfer-Encoding", b"identity")], 1),
        ([(b"Transfer-Encoding", b"xchunked")], 1),
        ([(b"Transfer-Encoding", b"chunked"), (b"TRANSFER-ENCODING", b"chunked")], 1),
        ([(b"Transfer-Encoding", b"chunked")], 0),
    ],
)
def test_framing_that_can_be_read_in_two_ways_is_refused(
    fields: list[tuple[bytes, bytes]], minor: int
) -> None:
    with pytest.raises(InvalidUpstreamResponse):
        framing(*fields, minor=minor)


@pytest.mark.parametrize(
    ("fields", "method", "status", "kind", "length"),
    [
        ([(b"Content-Length", b"5")], "GET", 200, BodyKind.LENGTH, 5),
        ([(b"content-length", b"007")], "GET", 200, BodyKind.LENGTH, 7),
        ([(b"Transfer-Encoding", b"Chunked")], "GET", 200, BodyKind.CHUNKED, None),
        ([], "GET", 200, BodyKind.UNTIL_CLOSE, None),
        ([(b"Content-Length", b"5")] * 2, "GET", 200, BodyKind.LENGTH, 5),
        (
            [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")],
            "GET",
            200,
            BodyKind.CHUNKED,
            None,
        ),
        ([(b"Content-Length", b"5")], "HEAD", 200, BodyKind.NONE, 5),
        ([(b"Transfer-Encoding", b"chunked")], "HEAD", 200, BodyKind.NONE, None),
        ([], "HEAD", 200, BodyKind.NONE, None),
        ([(b"Content-Length", b"5")], "GET", 304, BodyKind.NONE, 5),
        ([(b"Content-Length", b"5")], "GET", 204, BodyKind.NONE, None),
        ([(b"Content-Length", b"5")], "POST", 404, BodyKind.LENGTH, 5),
    ],
)
def test_the_end_of_a_body_is_found_as_in_rfc_9112(
    fields: list[tuple[bytes, bytes]],
    method: str,
    status: int,
    kind: BodyKind,
    length: int | None,
) -> None:
    read = framing(*fields, method=method, status=status)

    assert (read.kind, read.content_length) == (kind, length)


@pytest.mark.parametrize(
    ("connection", "minor", "kept"),
    [
        (None, 1, True),
        (b"close", 1, False),
        (b"Close", 1, False),
        (b"keep-alive, close", 1, False),
        (b"x,\tCLOSE ", 1, False),
        (b"closed", 1, True),
        (None, 0, False),
        (b"Keep-Alive", 0, True),
        (b"keep-alive, close", 0, False),
    ],
)
def test_a_connection_is_kept_when_both_versions_agree(
    connection: bytes | None, minor: int, kept: bool
) -> None:
    fields = [(b"Content-Length", b"0")]
    if connection is not None:
        fields.append((b"connection", connection))

    assert framing(*fields, minor=minor).keep_alive is kept


def test_an_answer_without_a_length_ends_the_connection() -> None:
    assert framing((b"Connection", b"keep-alive")).keep_alive is False


def test_hop_by_hop_and_framing_fields_do_not_go_on() -> None:
    read = framing(
        (b"Content-Length", b"0"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Upgrade", b"h2c"),
        (b"Trailer", b"X-Sum"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Connection", b"x-hop, Upgrade"),
        (b"Set-Cookie", b"a=1"),
        (b"X-Hop", b"1"),
        (b"Connection", b"X-Other"),
        (b"x-other", b"2"),
        (b"Set-Cookie", b"b=2"),
    )

    kept = [each for each in read.end_to_end.fields if not each.role & NOT_END_TO_END]
    assert [(each.name, each.value) for each in kept] == [
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
    ]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 5),
        (b"max=100, Timeout=72", 72),
        (b"timeout=-1", None),
        (b"timeout=", None),
        (b"timeout=" + b"9" * 40, None),
        (b"", None),
    ],
)
def test_the_patience_of_an_upstream_is_read(value: bytes, seconds: int | None) -> None:
    read = framing((b"Content-Length", b"0"), (b"Keep-Alive", value))

    assert read.keep_alive_seconds == seconds


def test_a_connection_that_sent_both_a_length_and_chunks_is_not_used_again() -> None:
    both = framing((b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"))

    assert not both.keep_alive


@pytest.mark.parametrize(
    "line", [b"Set-Cookie: a=b", b"X-Gateway-Note: x", b"X-Long: " + b"x" * 2000]
)
def test_a_head_that_is_not_kept_leaves_no_cycle(line: bytes) -> None:
    """Its framing refers to it."""
    head = read_response_head(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % line)

    assert read_framing("GET", head).end_to_end is head
    assert head.framing is None


def test_the_framing_of_a_head_that_is_kept_is_kept() -> None:
    head = read_response_head(b"HTTP/1.1 200 OK\r\nX-Short: x\r\n\r\n")

    assert read_framing("GET", head) is read_framing("GET", head)


@pytest.mark.parametrize(
    ("fields", "method", "status", "ordinary"),
    [
        ([LENGTH], "GET", 200, True),
        ([LENGTH], "HEAD", 200, True),
        ([LENGTH], "GET", 304, True),
        ([LENGTH], "POST", 404, True),
        ([LENGTH], "GET", 499, True),
        pytest.param([LENGTH], "GET", 101, False, id="another protocol"),
        pytest.param([LENGTH], "GET", 500, False, id="a failure counts"),
        pytest.param([], "GET", 200, False, id="until the end of the connection"),
        pytest.param([LENGTH, CLOSE], "GET", 200, False, id="not used again"),
        pytest.param([LENGTH, BRIEFLY], "GET", 200, False, id="idle for a while only"),
        pytest.param([CHUNKED], "GET", 200, False, id="unknown length"),
    ],
)
def test_only_a_response_that_changes_nothing_is_ordinary(
    fields: list[tuple[bytes, bytes]], method: str, status: int, ordinary: bool
) -> None:
    assert framing(*fields, method=method, status=status).ordinary is ordinary
