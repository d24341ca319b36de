"""The head by its lines: what is ordinary, and what is left to the strict parser.

That both read the same is shown in tests/server/test_request_reader.py.
"""

import operator

import pytest

from gateway.http import lines
from gateway.http.fields import Fields, sort_fields
from gateway.http.lines import read_plain, sort_lines

LONGEST = 16_384


def request(
    *fields: bytes, first: bytes = b"GET /a?b HTTP/1.1", body: bytes = b""
) -> bytes:
    return b"\r\n".join((first, b"Host: a", *fields, b"", body))


ORDINARY = [
    pytest.param(request(), id="bare"),
    pytest.param(request(b"Accept: */*", b"Cookie: a=b", b"X-Y:z"), id="fields"),
    pytest.param(request("X-Name: Zoë".encode()), id="UTF-8"),
    pytest.param(request(b"X:  \ta b\tc"), id="white space"),
    pytest.param(request(b"Connection: keep-alive"), id="keep-alive"),
    pytest.param(request(b"Connection: close"), id="close"),
    pytest.param(request(b"X-Forwarded-For: 192.0.2.1"), id="a proxy"),
    pytest.param(request(first=b"GET /%20@a:b;c/../%2f HTTP/1.1"), id="a path"),
    pytest.param(
        request(b"Content-Length: 5", first=b"POST / HTTP/1.1", body=b"a\r\n\r\n"),
        id="a body",
    ),
]


@pytest.mark.parametrize("data", ORDINARY)
def test_an_ordinary_request_is_read_by_its_lines(data: bytes) -> None:
    found = read_plain(data, LONGEST)

    assert found is not None
    head, body = found
    assert data.endswith(b"\r\n\r\n" + body)
    pairs = [
        (name, value.strip(b" \t"))
        for name, _, value in (
            line.partition(b":")
            for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        )
    ]
    wanted = sort_fields(pairs)
    assert isinstance(wanted, Fields)
    assert head.fields.kept == wanted.kept
    assert head.fields.cookies == wanted.cookies
    assert head.fields.repeated == wanted.repeated == set()
    assert wanted.values.items() <= head.fields.values.items()


STRICT = [
    *(
        pytest.param(request(field), id=field.decode("latin-1"))
        for field in (
            b"Transfer-Encoding: chunked",
            b"Upgrade: websocket",
            b"Expect: 100-continue",
            b"Sec-WebSocket-Key: a",
            b"sec-websocket-key1: a",
            b"Host: a",
            b"Content-Length: 1",
            b"Content-Length: 00",
            b"Content-Length: +0",
            b"Content-Length: 0, 0",
            b"X y: 1",
            b"X : 1",
            b": 1",
            b"X",
            b"X:",
            b"X: ",
            b"X: a ",
            b" X: folded",
            b"X: a\nY: b",
            b"X: a\rY: b",
            b"X: a\0",
            b"X: \x7f",
            b"X: \xff",
        )
    ),
    *(
        pytest.param(request(first=first), id=first.decode("latin-1"))
        for first in (
            b"GET / HTTP/1.0",
            b"GET / HTTP/2.0",
            b"GET / RTSP/1.1",
            b"GET / http/1.1",
            b"get / HTTP/1.1",
            b"TRACE / HTTP/1.1",
            b"CONNECT a:1 HTTP/1.1",
            b"BREW / HTTP/1.1",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET //a HTTP/1.1",
            b"GET http://a/ HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"GET /# HTTP/1.1",
            b"GET /?# HTTP/1.1",
            b"GET /\\ HTTP/1.1",
            b"GET /\xc3\xa9 HTTP/1.1",
            b'GET /" HTTP/1.1',
            b"GET /",
            b"",
        )
    ),
    pytest.param(request(b"ETag: a", b"etag: a"), id="a field twice"),
    pytest.param(request(b"Accept: a", b"accept: b"), id="a list in two fields"),
    pytest.param(request(b"Cookie: a=b", b"Cookie: c=d"), id="two cookies"),
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no host"),
    pytest.param(request()[:-1], id="not all"),
    pytest.param(b"\r\n\r\n" + request(), id="empty lines before"),
    pytest.param(request() + request(), id="two requests"),
    pytest.param(request().replace(b"\r\n", b"\n"), id="bare LF"),
    pytest.param(request(*[b"X: 1"] * 64), id="many fields"),
    pytest.param(request(b"X: " + b"a" * LONGEST), id="a long field"),
    pytest.param(
        request(b"Content-Length: 5", first=b"POST / HTTP/1.1", body=b"four"),
        id="not all of a body",
    ),
]


@pytest.mark.parametrize("data", STRICT)
def test_anything_else_is_left_to_the_strict_parser(data: bytes) -> None:
    assert read_plain(data, LONGEST) is None


def test_lines_that_clients_invent_do_not_fill_the_memory() -> None:
    for number in range(20_000):
        assert sort_lines([b"X-%d: 1" % number]) is not None
    assert sort_lines([b"X: " + b"a" * 2000]) is not None

    memo = lines._MEANINGS
    assert len(memo) <= 8192
    assert len(memo._older) <= 8192
    assert all(len(line) <= 1024 for line in memo)


def test_the_heads_of_a_thousand_clients_in_turn_become_known() -> None:
    """Their lines together are more than one generation of lines has room for."""
    fields = "".join(f"X-Field-{number}: {'v' * 40}\r\n" for number in range(20))
    heads = [
        f"GET /turn HTTP/1.1\r\nHost: a\r\n{fields}Cookie: s={number:064}\r\n\r\n"
        for number in range(1000)
    ]

    def receive() -> list[object]:
        found = [read_plain(head.encode(), 16_384) for head in heads]
        return [plain and plain[0] for plain in found]

    receive()
    receive()
    known = receive()

    assert None not in known
    assert all(map(operator.is_, receive(), known))


def test_the_memory_of_lines_prints_no_secret() -> None:
    assert sort_lines([b"Cookie: session=hunter2"]) is not None

    assert "hunter2" not in repr(lines._MEANINGS)
