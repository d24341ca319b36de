"""WebSocket frames through the tunnel and beside it: both ends see the same.

The cases are in the order of the sections of the Autobahn test suite: framing, pings,
reserved bits, opcodes, fragmentation, UTF-8, closing, size, compression. The server takes
octet by octet and echoes frame by frame, so what it sends does not depend on how
TCP cut the bytes.
"""

import asyncio
import codecs
import hashlib
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.servers import PATIENCE, Server
from tests.walk.harness import base_config, connected, running_gateway

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

SHAKE = (
    b"GET /open HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bool = True,
) -> bytes:
    """Write a frame as a client does, legal or not."""
    first = (fin << 7) | (rsv << 4) | opcode
    size = len(payload)
    bit = mask << 7
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not mask:
        return head + payload
    key = b"\x37\xfa\x21\x3d"
    keys = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")
    return head + key + masked.to_bytes(size, "big")


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def deflated(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


def fragments(opcode: int, payload: bytes, size: int) -> list[bytes]:
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    last = len(parts) - 1
    return [
        frame(CONT if at else opcode, part, fin=at == last)
        for at, part in enumerate(parts)
    ]


BAD_UTF8 = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",  # a surrogate
    b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xfe", b"\xff",
    b"\x80", b"\xbf", b"\xc3(", b"\xe2\x28\xa1", b"\xf8\x88\x80\x80\x80", b"\xed\xbf\xbf", b"ok\xce",
]  # fmt: skip
GOOD_UTF8 = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\U0010ffff",
    "\ufffe\uffff",
    "\x00",
    "\u2028",
]


def cases() -> Iterator[tuple[str, bytes, list[bytes]]]:
    """Give the cases: a name, more lines of the handshake, what the client sends."""
    for opcode in (TEXT, BINARY):
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536):
            yield f"1 opcode {opcode} of {size}", b"", [frame(opcode, b"*" * size)]
    for size in (0, 5, 125, 126):
        yield f"2 ping of {size}", b"", [frame(PING, b"\x00\xff" * (size // 2))]
    yield "2 a pong unasked", b"", [frame(PONG, b"unsolicited"), frame(PING, b"p")]
    yield "2 ten pings", b"", [frame(PING, b"%d" % number) for number in range(10)]
    for rsv in range(1, 8):
        for opcode in (TEXT, BINARY, PING, CLOSE):
            sent = [frame(TEXT, b"before"), frame(opcode, b"", rsv=rsv), frame(PING)]
            yield f"3 rsv {rsv} on opcode {opcode}", b"", sent
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for payload in (b"", b"reserved"):
            sent = [frame(TEXT, b"before"), frame(opcode, payload), frame(PING)]
            yield f"4 opcode {opcode} of {len(payload)}", b"", sent
    yield from fragmented()
    for number, text in enumerate(GOOD_UTF8):
        yield f"6 good {number}", b"", [frame(TEXT, text.encode())]
        yield f"6 good {number} by octets", b"", fragments(TEXT, text.encode(), 1)
    for number, octets in enumerate(BAD_UTF8):
        yield f"6 bad {number}", b"", [frame(TEXT, octets)]
        if len(octets) > 1:
            yield f"6 bad {number} by octets", b"", fragments(TEXT, octets, 1)
    for code in (
        *range(995, 1020),
        1100,
        1999,
        2000,
        2999,
        *range(3000, 5001, 250),
        65535,
    ):
        yield f"7 code {code}", b"", [closing(code), frame(TEXT, b"after")]
    yield "7 no code", b"", [frame(CLOSE)]
    yield "7 half a code", b"", [frame(CLOSE, b"\x03")]
    yield "7 two closes", b"", [closing(1000), closing(1001)]
    yield "7 a long reason", b"", [closing(1000, b"*" * 123)]
    yield "7 too long a reason", b"", [closing(1000, b"*" * 124)]
    yield "7 a reason that is not UTF-8", b"", [closing(1000, BAD_UTF8[0])]
    yield "9 a mebibyte", b"", [frame(BINARY, bytes(range(256)) * 4096)]
    yield "9 a mebibyte in parts", b"", fragments(BINARY, b"x" * (1 << 20), 65536)
    yield "10 parts of 1300", b"", fragments(TEXT, b"*" * 65536, 1300)
    yield "not masked", b"", [frame(TEXT, b"bare", mask=False)]
    yield from compressed()


def fragmented() -> Iterator[tuple[str, bytes, list[bytes]]]:
    two = fragments(TEXT, b"fragment1fragment2", 9)
    yield "5 two", b"", two
    yield "5 a ping between", b"", [two[0], frame(PING, b"ping"), two[1]]
    yield "5 a pong between", b"", [two[0], frame(PONG, b"pong"), two[1]]
    yield "5 a close between", b"", [two[0], closing(1000), two[1]]
    yield "5 a text between", b"", [two[0], frame(TEXT, b"x"), two[1]]
    yield (
        "5 a ping in fragments",
        b"",
        [frame(PING, b"a", fin=False), frame(CONT, b"b")],
    )
    yield "5 nothing to continue", b"", [frame(CONT, b"x"), frame(TEXT, b"y")]
    yield "5 nothing to continue yet", b"", [frame(CONT, b"x", fin=False), *two]
    yield (
        "5 empty fragments",
        b"",
        [frame(TEXT, fin=False), frame(CONT, fin=False), frame(CONT)],
    )
    yield (
        "5 five with pings",
        b"",
        [
            piece
            for part in fragments(BINARY, b"abcde", 1)
            for piece in (part, frame(PING, b"between"))
        ],
    )


def compressed() -> Iterator[tuple[str, bytes, list[bytes]]]:
    for size in (0, 16, 1024, 65536):
        squeezed = deflated(b"compress me " * size)
        yield f"12 deflated {size}", DEFLATE, [frame(BINARY, squeezed, rsv=4)] * 2
    half = deflated(b"fragments of a compressed message" * 100)
    middle = len(half) // 2
    yield (
        "12 deflated in fragments",
        DEFLATE,
        [
            frame(TEXT, half[:middle], fin=False, rsv=4),
            frame(PING, b"p"),
            frame(CONT, half[middle:]),
        ],
    )
    yield "12 plain though agreed", DEFLATE, [frame(TEXT, b"plain")]
    yield "12 not deflate", DEFLATE, [frame(TEXT, b"\xff\xff\xff\xff", rsv=4)]
    yield (
        "12 rsv on a continuation",
        DEFLATE,
        [
            frame(TEXT, half[:middle], fin=False, rsv=4),
            frame(CONT, half[middle:], rsv=4),
        ],
    )
    bad = deflated(b"\xff\xfe")
    yield "12 deflated, not UTF-8", DEFLATE, [frame(TEXT, bad, rsv=4)]
    for offer in (
        b"server_no_context_takeover",
        b"client_no_context_takeover",
        b"server_max_window_bits=9",
        b"foo",
    ):
        line = b"Sec-WebSocket-Extensions: permessage-deflate; " + offer + b"\r\n"
        yield f"13 {offer.decode()}", line, [frame(TEXT, b"plain"), frame(PING)]


CASES = {name: (lines, sent) for name, lines, sent in cases()}


@dataclass
class Seen:
    """What a server saw on one connection."""

    octets: Any = field(default_factory=hashlib.sha256)
    events: list[tuple[int, bool, bytes]] = field(default_factory=list)
    closed_with: tuple[int, str] | None = None


@dataclass
class Echo:
    """A server that echoes each frame as it comes, octet by octet."""

    port: int = 0
    seen: "asyncio.Queue[Seen]" = field(default_factory=asyncio.Queue)

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        seen = Seen()
        protocol = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory()], max_size=None
        )
        text: Any = None
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if protocol.state is not State.CONNECTING:
                    seen.octets.update(data)
                for octet in self._pieces(data):
                    protocol.receive_data(octet)
                    for event in protocol.events_received():
                        text = self._heard(protocol, event, seen, text)
                    writer.write(b"".join(protocol.data_to_send()))
                await writer.drain()
        if protocol.close_rcvd is not None:
            seen.closed_with = (protocol.close_rcvd.code, protocol.close_rcvd.reason)
        writer.close()
        self.seen.put_nowait(seen)

    @staticmethod
    def _pieces(data: bytes) -> list[bytes]:
        # A case with a fault in it is short; a long one ends with a Close.
        end = 0 if len(data) < 4096 else len(data) - 256
        return [data[:end]] * bool(end) + [
            data[at : at + 1] for at in range(end, len(data))
        ]

    @staticmethod
    def _heard(protocol: ServerProtocol, event: Any, seen: Seen, text: Any) -> Any:
        if isinstance(event, Request):
            protocol.send_response(protocol.accept(event))
            return None
        assert isinstance(event, Frame)
        seen.events.append(
            (event.opcode, event.fin, hashlib.sha256(event.data).digest())
        )
        if event.opcode not in {TEXT, BINARY, CONT}:
            return text
        if event.opcode == TEXT:
            text = codecs.getincrementaldecoder("utf-8")()
        if text is not None:
            try:
                text.decode(bytes(event.data), event.fin)
            except UnicodeDecodeError:
                if protocol.state is State.OPEN:
                    protocol.fail(1007)
                return None
        if protocol.state is not State.OPEN:
            return text
        match event.opcode:
            case 1:
                protocol.send_text(event.data, event.fin)
            case 2:
                protocol.send_binary(event.data, event.fin)
            case _:
                protocol.send_continuation(event.data, event.fin)
        return None if event.fin else text


@dataclass
class Ends:
    """The echo, directly and behind the gateway."""

    echo: Echo
    direct: int
    through: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Ends]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    folder = tmp_path_factory.mktemp("frames")
    async with running_gateway(base_config(port), folder, redis.url) as gateway:
        yield Ends(echo, port, gateway.port)
    server.close()


async def talk(
    ends: Ends, port: int, lines: bytes, sent: list[bytes]
) -> tuple[Any, ...]:
    """Send the frames and a close; give what the client and the server received."""
    async with connected(port) as client:
        await client.send(SHAKE + lines + b"\r\n")
        head = await client.head()
        assert head.status == 101
        frames = asyncio.create_task(received(client.reader, client._rest))
        await client.send(*sent, closing(1000))
        async with asyncio.timeout(PATIENCE):
            got = await frames
    async with asyncio.timeout(PATIENCE):
        seen = await ends.echo.seen.get()
    octets = hashlib.sha256(b"".join([*sent, closing(1000)])).digest()
    assert seen.octets.digest() == octets, "the server has every octet"
    extensions = head.one("Sec-WebSocket-Extensions")
    return got, seen.events, seen.closed_with, extensions


async def received(
    reader: asyncio.StreamReader, first: bytes
) -> list[tuple[int, bytes]]:
    """Read the server's frames up to its Close: the first octet and the payload."""
    buffer = bytearray(first)

    async def take(size: int) -> bytes:
        while len(buffer) < size:
            data = await reader.read(1 << 16)
            assert data, "ended without a Close"
            buffer.extend(data)
        taken = bytes(buffer[:size])
        del buffer[:size]
        return taken

    frames = []
    while True:
        head, size = await take(2)
        if size == 126:
            (size,) = struct.unpack("!H", await take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await take(8))
        payload = await take(size)
        frames.append((head, payload))
        if head & 0x0F == CLOSE:
            return frames


@pytest.mark.parametrize("name", CASES)
async def test_a_tunnel_changes_nothing_that_either_end_sees(
    ends: Ends, name: str
) -> None:
    lines, sent = CASES[name]

    direct = await talk(ends, ends.direct, lines, sent)
    through = await talk(ends, ends.through, lines, sent)

    assert through == direct
