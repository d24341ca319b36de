"""Heads of RTSP and ICE are refused, wherever they are cut; bodies may hold anything."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.refusal import BadRequest
from gateway.server.exchange import Exchange
from gateway.server.request_reader import BODY_BUFFER, READ_AHEAD, RequestReader
from tests.server.test_request_reader import FOREIGN, a_reader, feed, get, outlined

NAMED = b"PLAY rtsp://camera/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"


def with_length(body: bytes, target: str = "/up") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def in_chunks(body: bytes, size: int = 30_000, target: str = "/up") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces)
    return head.encode() + chunks + b"0\r\n\r\n"


def received(reader: RequestReader, *pieces: bytes) -> list[Exchange]:
    """Read the pieces, and each body as it arrives."""
    found: list[Exchange] = []
    for piece in pieces:
        found += feed(reader, piece)[0]
        while not reader.broken:
            for each in found:
                if not (isinstance(each.message, BadRequest) or each.whole):
                    each.payload.read_nowait()
            if not reader._paused:
                break
            found += feed(reader, b"")[0]
    for each in found:
        reader.mark_dequeued(each)
    return found


def cut(raw: bytes, size: int) -> list[bytes]:
    return [raw[at : at + size] for at in range(0, len(raw), size)]


@pytest.mark.parametrize("size", [1000, 16_384, BODY_BUFFER, 200_000])
@pytest.mark.parametrize("long", [0, 70_000, 300_000])
@pytest.mark.parametrize("framed", [with_length, in_chunks])
@pytest.mark.parametrize("at_the_end", [False, True])
async def test_an_upload_may_name_another_protocol(
    size: int, long: int, framed: object, at_the_end: bool
) -> None:
    filler = b"x" * long
    body = filler + NAMED if at_the_end else NAMED + filler
    reader = a_reader()
    raw = with_length(body) if framed is with_length else in_chunks(body)

    found = received(reader, *cut(raw, size))

    assert outlined(found) == ["/up"]
    assert found[0].maybe_cut or outlined(received(reader, get("/next"))) == ["/next"]
    # Only of chunks the end is not known before it has come.
    assert not (framed is with_length and found[0].maybe_cut)


ordinary = st.sampled_from(
    [
        b"\r\n",
        b"\r\n\r\n",
        get("/one"),
        get("/two", "Cookie: a=b"),
        get("/ws", "Upgrade: h2c"),
        with_length(b"", "/empty"),
        with_length(NAMED, "/short"),
        with_length(NAMED[:-2] + b"x" * 300, "/longer"),
        in_chunks(NAMED, 7, "/chunks"),
    ]
)


@given(st.data(), st.lists(ordinary, max_size=4), st.sampled_from(FOREIGN))
async def test_a_request_of_another_protocol_is_never_taken_for_http(
    data: st.DataObject, before: list[bytes], foreign: bytes
) -> None:
    """Empty lines may come before each."""
    raw = b"".join((*before, foreign, get("/after")))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))

    found = received(a_reader(), *(raw[a:b] for a, b in pairwise((0, *cuts, len(raw)))))

    assert not {"/x", "/after"} & set(outlined(found))


@given(st.data(), st.lists(ordinary.filter(bytes.strip), min_size=1, max_size=5))
async def test_requests_that_come_one_by_one_are_never_refused_for_their_bodies(
    data: st.DataObject, requests: list[bytes]
) -> None:
    reader = a_reader()
    for raw in requests:
        cuts = sorted(data.draw(st.lists(st.integers(1, len(raw) - 1), max_size=4)))
        found = received(
            reader, *(raw[a:b] for a, b in pairwise((0, *cuts, len(raw))) if a < b)
        )

        assert [isinstance(each, str) for each in outlined(found)] == [True]
        if found[0].maybe_cut:
            return


async def test_what_the_parser_holds_back_is_searched() -> None:
    """It stops after some requests, and in a body that is not read."""
    many = get("/one", "Expect: 100-continue") * (READ_AHEAD + 2)
    reader = a_reader()
    found = feed(reader, many + FOREIGN[1])[0]
    for each in found:
        reader.mark_dequeued(each)

    assert "/x" not in outlined([*found, *feed(reader, b"")[0]])


async def test_a_body_that_ends_in_the_middle_of_a_read_does_not_hide_what_follows() -> (
    None
):
    for body, lines in product(
        (in_chunks(NAMED, 7), with_length(NAMED)), (b"", b"\r\n\r\n")
    ):
        raw = body + lines + FOREIGN[1]
        start = raw.index(b"\r\n\r\n") + 4
        for at in range(start, len(raw) + 1):
            found = received(a_reader(), raw[:start], raw[start:at], raw[at:])

            assert "/x" not in outlined(found)
