import httptools
import pytest

from gateway.http.chunked import LAST_CHUNK, chunk


class Reader:
    def __init__(self) -> None:
        self.body = b""
        self.ended = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    "pieces", [[], [b"a"], [b"\r\n0\r\n\r\n", b"b" * 70_000, b"\0"]]
)
def test_another_parser_reads_what_was_encoded(pieces: list[bytes]) -> None:
    reader = Reader()
    parser = httptools.HttpResponseParser(reader)
    parser.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    parser.feed_data(b"".join(map(chunk, pieces)) + LAST_CHUNK)

    assert reader.body == b"".join(pieces)
    assert reader.ended
