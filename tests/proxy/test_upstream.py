"""The failure table: what an upstream may do wrong, and what comes of it."""

import asyncio
import socket
from pathlib import Path
from typing import TypedDict

import pytest

from gateway.errors import (
    ConnectFailed,
    InvalidUpstreamResponse,
    UpstreamBusy,
    UpstreamTimeout,
)
from gateway.proxy.body import BodyLengthError
from gateway.proxy.target import TargetAddress
from gateway.proxy.upstream import Upstream
from tests.proxy.support import (
    GET,
    HEAD,
    OK,
    Peer,
    Pieces,
    Script,
    Streamed,
    client_of,
    get,
    relayed_fields,
    scripted,
    whole,
)
from tests.servers import PATIENCE, free_port

POST = b"POST /x HTTP/1.1\r\nHost: app\r\nContent-Length: 6\r\n\r\n"
STREAM = b"POST /x HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Where(TypedDict):
    path: str | None


@pytest.fixture(params=["tcp", "unix"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    return {"path": None if request.param == "tcp" else str(tmp_path / "s")}


def forever(answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(answer)

    return script


def once(answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.answer(answer)

    return script


async def idle_again(client: Upstream) -> None:
    """Wait until the answer's end has reached the pool."""
    async with asyncio.timeout(PATIENCE):
        while client.stats()[0].in_use:
            await asyncio.sleep(0)


async def until_in_use(client: Upstream) -> None:
    async with asyncio.timeout(PATIENCE):
        while not client.stats()[0].in_use:
            await asyncio.sleep(0)


# Connecting


async def test_nothing_listens() -> None:
    address = TargetAddress(scheme="http", host="127.0.0.1", port=free_port())

    async with client_of(address) as client:
        with pytest.raises(ConnectFailed) as failure:
            await get(client)

    assert isinstance(failure.value.__cause__, OSError)
    assert client.stats()[0].open == 0


async def test_no_such_socket(tmp_path: Path) -> None:
    address = TargetAddress(scheme="http", host="x", port=0, path=str(tmp_path / "no"))

    async with client_of(address) as client:
        with pytest.raises(ConnectFailed):
            await get(client)


async def test_a_name_that_does_not_resolve() -> None:
    address = TargetAddress(scheme="http", host="app.invalid", port=80)

    async with client_of(address) as client:
        with pytest.raises(ConnectFailed):
            await get(client)


async def test_a_listener_that_accepts_no_connection() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        address = TargetAddress(scheme="http", host="127.0.0.1", port=port)
        fillers = []
        for _ in range(4):  # the backlog, and a little more
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)

        async with client_of(address, connect_timeout=0.2) as client:
            with pytest.raises(ConnectFailed) as failure:
                await get(client)

        assert isinstance(failure.value.__cause__, TimeoutError)
        for filler in fillers:
            filler.close()


# The answer


async def test_request_and_answer_pass_as_they_are(where: Where) -> None:
    answer = (
        b"HTTP/1.1 201 Made up\r\nX-A: 1\r\nx-a: \xe4\r\nContent-Length: 2\r\n\r\nok"
    )
    async with (
        scripted(once(answer), **where) as upstream,
        client_of(upstream) as client,
    ):
        response = await get(client)

        assert response.status == 201
        assert response.headers == [
            (b"X-A", b"1"),
            (b"x-a", b"\xe4"),
            (b"Content-Length", b"2"),
        ]
        assert relayed_fields(response) == [(b"X-A", b"1"), (b"x-a", b"\xe4")]
        assert response.has_body
        assert response.content_length == 2
        assert await whole(response) == b"ok"
        assert upstream.received == [GET]


async def test_a_body_that_came_with_the_head_is_there_at_once(where: Where) -> None:
    async with (
        scripted(forever(OK), **where) as upstream,
        client_of(upstream) as client,
    ):
        response = await get(client)

        assert response.complete_body() == b"ok"
        assert await response.read() == b""


@pytest.mark.parametrize(
    ("method", "head", "answer", "length"),
    [
        ("HEAD", HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 5),
        ("HEAD", HEAD, CHUNKED, None),
        ("GET", GET, b"HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n", 5),
        ("GET", GET, b"HTTP/1.1 204 N\r\nContent-Length: 0\r\n\r\n", None),
        ("GET", GET, b"HTTP/1.1 204 N\r\n\r\n", None),
    ],
)
async def test_an_answer_without_a_body_keeps_the_connection(
    method: str, head: bytes, answer: bytes, length: int | None
) -> None:
    async with scripted(forever(answer)) as upstream, client_of(upstream) as client:
        for _ in range(3):
            response = await get(client, head, method)

            assert not response.has_body
            assert response.content_length == length
            assert response.complete_body() == b""

        assert len(upstream.peers) == 1


async def test_interim_answers_are_dropped(where: Where) -> None:
    interim = b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: </a>\r\n\r\n"
    async with (
        scripted(forever(interim + OK), **where) as upstream,
        client_of(upstream) as client,
    ):
        response = await get(client)

        assert (response.status, response.complete_body()) == (200, b"ok")
        assert response.headers == [(b"Content-Length", b"2")]


async def test_pieces_are_given_as_they_arrive() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + b"3\r\none\r\n")
        await go_on.wait()
        peer.write(b"3\r\ntwo\r\n")
        await peer.writer.drain()
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        response = await get(client)

        assert await response.read() == b"one"
        go_on.set()
        assert await response.read() == b"two"
        response.abort()


async def test_closing_in_the_middle_of_the_head(where: Where) -> None:
    async with (
        scripted(once(b"HTTP/1.1 200 OK\r\nX"), **where) as upstream,
        client_of(upstream) as client,
    ):
        with pytest.raises(InvalidUpstreamResponse):
            await get(client)

        assert upstream.received == [GET]


async def test_closing_on_a_new_connection_without_an_answer(where: Where) -> None:
    async with scripted(once(b""), **where) as upstream, client_of(upstream) as client:
        with pytest.raises(InvalidUpstreamResponse):
            await get(client)

        assert upstream.received == [GET]


async def test_a_reset_without_an_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.reset()

    async with scripted(script) as upstream, client_of(upstream) as client:
        with pytest.raises(InvalidUpstreamResponse):
            await get(client)

        assert upstream.received == [GET]


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", CHUNKED + b"9\r\nabc"],
)
@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_an_end_in_the_middle_of_the_body_is_never_clean(
    start: bytes, ending: str, where: Where
) -> None:
    sent = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(start)
        await sent.wait()
        getattr(peer, ending)()

    async with scripted(script, **where) as upstream, client_of(upstream) as client:
        response = await get(client)
        assert await response.read() == b"abc"
        sent.set()

        with pytest.raises(InvalidUpstreamResponse):
            await response.read()
        with pytest.raises(InvalidUpstreamResponse):
            await response.read()

        assert client.stats()[0].open == 0


async def test_a_body_until_close_ends_when_the_upstream_closes(where: Where) -> None:
    async with (
        scripted(once(b"HTTP/1.0 200 OK\r\n\r\nall of it"), **where) as upstream,
        client_of(upstream) as client,
    ):
        response = await get(client)

        assert response.content_length is None
        assert await whole(response) == b"all of it"
        assert client.stats()[0].open == 0


async def test_a_body_until_close_does_not_end_with_a_reset() -> None:
    sent = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await sent.wait()
        peer.reset()

    async with scripted(script) as upstream, client_of(upstream) as client:
        response = await get(client)
        assert await response.read() == b"some"
        sent.set()

        with pytest.raises(InvalidUpstreamResponse):
            await response.read()


async def test_an_unsolicited_101_is_refused() -> None:
    switch = (
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
        b"GET /evil HTTP/1.1\r\n\r\n"
    )
    async with scripted(once(switch)) as upstream, client_of(upstream) as client:
        with pytest.raises(InvalidUpstreamResponse):
            await get(client)

        assert client.stats()[0].open == 0


# Time


async def test_no_answer_in_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.rest()

    async with (
        scripted(script) as upstream,
        client_of(upstream, response_timeout=0.1) as client,
    ):
        with pytest.raises(UpstreamTimeout):
            await get(client)

        assert client.stats()[0].open == 0


async def test_a_head_that_dribbles_is_not_waited_for() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(1000):
            peer.write(b"X-%d: y\r\n" % number)
            await asyncio.sleep(0.01)

    async with (
        scripted(script) as upstream,
        client_of(upstream, response_timeout=0.1) as client,
    ):
        with pytest.raises(UpstreamTimeout):
            await get(client)


async def test_silence_in_the_middle_of_a_body() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + b"3\r\none\r\n")
        await peer.rest()

    async with (
        scripted(script) as upstream,
        client_of(upstream, idle_timeout=0.1) as client,
    ):
        response = await get(client)
        assert await response.read() == b"one"

        with pytest.raises(UpstreamTimeout):
            await response.read()


async def test_bytes_without_content_do_not_count_as_progress_for_ever() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + b"3;")
        while not peer.writer.is_closing():
            peer.write(b"x" * 1024)
            await peer.writer.drain()

    async with scripted(script) as upstream, client_of(upstream) as client:
        with pytest.raises(InvalidUpstreamResponse):
            await whole(await get(client))


async def test_a_reader_that_takes_his_time_is_not_timed_out() -> None:
    reading = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + b"3\r\none\r\n")
        await reading.wait()
        peer.write(b"3\r\ntwo\r\n")
        await peer.rest()

    async with (
        scripted(script) as upstream,
        client_of(upstream, idle_timeout=1) as client,
    ):
        response = await get(client)
        for _ in range(2):
            await response.read()
            await asyncio.sleep(1.2)  # what is tested is that time passes
            reading.set()

        assert client.stats()[0].in_use == 1
        response.abort()


# Keeping connections


async def test_connections_are_kept_and_used_again(where: Where) -> None:
    async with (
        scripted(forever(OK), **where) as upstream,
        client_of(upstream) as client,
    ):
        for _ in range(20):
            assert (await get(client)).complete_body() == b"ok"

        assert len(upstream.peers) == 1
        assert client.stats()[0].idle == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"\r\n",
        OK + OK,
        b"HTTP/1.1 204 N\r\nContent-Length: 2\r\n\r\nok",
        # Content may still come.
        b"HTTP/1.1 204 N\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_a_connection_that_is_not_clean_is_not_used_again(answer: bytes) -> None:
    async with scripted(forever(answer)) as upstream, client_of(upstream) as client:
        for _ in range(3):
            await whole(await get(client))

        assert len(upstream.peers) == 3
        assert client.stats()[0].open == 0


@pytest.mark.parametrize("junk", [b"HTTP/1.1 200 OK\r\n", OK, b"\r\n", b"", None])
async def test_bytes_on_an_idle_connection_end_it(junk: bytes | None) -> None:
    quiet = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await quiet.wait()
        if junk:
            peer.write(junk)
            await peer.rest()
        elif junk is None:
            peer.reset()
        else:
            peer.close()

    async with scripted(script) as upstream, client_of(upstream) as client:
        await get(client)
        assert client.stats()[0].idle == 1
        quiet.set()
        while client.stats()[0].open:
            await asyncio.sleep(0)

        assert (await get(client)).complete_body() == b"ok"
        assert len(upstream.peers) == 2


async def test_an_idle_connection_is_used_for_a_time_only() -> None:
    now = 1000.0
    async with (
        scripted(forever(OK)) as upstream,
        client_of(upstream, keepalive=55, clock=lambda: now) as client,
    ):
        await get(client)
        now += 54
        await get(client)
        now += 56
        await get(client)

        assert len(upstream.peers) == 2


async def test_the_upstreams_own_patience_is_kept_to() -> None:
    now = 1000.0
    answer = OK.replace(b"Content", b"Keep-Alive: timeout=5\r\nContent")
    async with (
        scripted(forever(answer)) as upstream,
        client_of(upstream, clock=lambda: now) as client,
    ):
        await get(client)
        now += 3.9
        await get(client)
        now += 4.1
        await get(client)

        assert len(upstream.peers) == 2


async def test_no_more_connections_are_kept_than_allowed() -> None:
    arrived = asyncio.Barrier(5)

    async def script(peer: Peer) -> None:
        await peer.head()
        await arrived.wait()
        peer.write(OK)
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream, max_idle=2) as client:
        await asyncio.gather(*(get(client) for _ in range(5)))

        assert client.stats()[0].idle == 2
        assert client.stats()[0].open == 2


async def test_a_place_is_waited_for() -> None:
    async with (
        scripted(forever(OK)) as upstream,
        client_of(upstream, max_connections=2) as client,
    ):
        answers = await asyncio.gather(*(get(client) for _ in range(20)))

        assert [answer.complete_body() for answer in answers] == [b"ok"] * 20
        assert len(upstream.peers) <= 2
        assert client.stats()[0].in_use == 0


async def test_a_place_is_made_by_a_connection_that_closes() -> None:
    answer = OK.replace(b"Content", b"Connection: close\r\nContent")
    async with (
        scripted(forever(answer)) as upstream,
        client_of(upstream, max_connections=2) as client,
    ):
        answers = await asyncio.gather(*(get(client) for _ in range(10)))

        assert len(answers) == 10
        assert client.stats()[0].open == 0


async def test_no_place_in_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.rest()

    async with (
        scripted(script) as upstream,
        client_of(upstream, max_connections=1, connect_timeout=1) as client,
    ):
        first = asyncio.create_task(get(client))
        while not upstream.peers:
            await asyncio.sleep(0)

        with pytest.raises(UpstreamBusy) as failure:
            await get(client)

        assert failure.value.sent is False
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert client.stats()[0].open == 0


async def test_who_gives_up_waiting_loses_no_place() -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await release.wait()
            peer.write(OK)

    async with (
        scripted(script) as upstream,
        client_of(upstream, max_connections=1) as client,
    ):
        first = asyncio.create_task(get(client))
        while not upstream.peers:
            await asyncio.sleep(0)
        waiting = [asyncio.create_task(get(client)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        release.set()
        await first
        waiting[1].cancel()  # perhaps just when the connection was given to it

        assert (await waiting[2]).complete_body() == b"ok"
        await asyncio.gather(*waiting[:2], return_exceptions=True)
        await idle_again(client)
        assert (await get(client)).complete_body() == b"ok"
        assert client.stats()[0].open == 1


@pytest.mark.parametrize("ending", [b"0\r\n\r\n", None], ids=["kept", "closed"])
async def test_a_place_given_to_who_has_just_given_up_goes_to_the_next(
    ending: bytes | None,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED if not peer.number else OK)
        await peer.answer(OK)
        await peer.rest()

    async with (
        scripted(script) as upstream,
        client_of(upstream, max_connections=1) as client,
    ):
        response = await get(client)
        waiting = [asyncio.create_task(get(client)) for _ in range(2)]
        await asyncio.sleep(0)
        if ending is None:
            response.abort()
        else:
            (connection,) = client._pool._busy
            connection.data_received(ending)
        waiting[0].cancel()

        assert (await waiting[1]).complete_body() == b"ok"
        assert waiting[0].cancelled()
        assert client.stats()[0].open == 1


# Sending again


def closing_after(count: int) -> Script:
    """Answer `count` requests on the first connection, close it at the next."""

    async def script(peer: Peer) -> None:
        if peer.number:
            while True:
                await peer.answer(OK)
        for _ in range(count):
            await peer.answer(OK)
        await peer.head()

    return script


async def test_a_safe_request_on_a_kept_connection_is_sent_again_once(
    where: Where,
) -> None:
    async with (
        scripted(closing_after(1), **where) as upstream,
        client_of(upstream) as client,
    ):
        await get(client)

        response = await get(client)

        assert response.complete_body() == b"ok"
        assert upstream.received == [GET * 2, GET]


async def test_it_is_sent_again_on_a_new_connection() -> None:
    both = asyncio.Barrier(2)

    async def script(peer: Peer) -> None:
        if peer.number < 2:
            await peer.head()
            await both.wait()
            peer.write(OK)
            await peer.head()
        else:
            await peer.answer(OK)

    async with scripted(script) as upstream, client_of(upstream) as client:
        await asyncio.gather(get(client), get(client))
        assert client.stats()[0].idle == 2

        assert (await get(client)).complete_body() == b"ok"
        assert upstream.received[2] == GET


async def test_it_is_not_sent_a_third_time() -> None:
    async def script(peer: Peer) -> None:
        if not peer.number:
            await peer.answer(OK)
        await peer.head()

    async with scripted(script) as upstream, client_of(upstream) as client:
        await get(client)

        with pytest.raises(InvalidUpstreamResponse):
            await get(client)

        assert upstream.received == [GET * 2, GET]


async def test_an_unsafe_request_is_sent_once() -> None:
    async with scripted(closing_after(1)) as upstream, client_of(upstream) as client:
        await get(client)

        with pytest.raises(InvalidUpstreamResponse) as failure:
            await get(client, method="DELETE", retriable=False)

        assert failure.value.sent is True
        assert upstream.received == [GET * 2]


async def test_a_request_with_a_body_is_sent_once() -> None:
    async with scripted(closing_after(1)) as upstream, client_of(upstream) as client:
        await get(client)

        with pytest.raises(InvalidUpstreamResponse):
            await client.send(
                POST, method="POST", body=Pieces(b"abcdef"), retriable=True
            )

        assert len(upstream.peers) == 1


@pytest.mark.parametrize("got", [b"H", b"HTTP/1.1 100 C\r\n\r\n"])
async def test_nothing_is_sent_again_after_a_byte_of_an_answer(got: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.answer(got)

    async with scripted(script) as upstream, client_of(upstream) as client:
        await get(client)

        with pytest.raises(InvalidUpstreamResponse):
            await get(client)

        assert upstream.received == [GET * 2]


# Bodies of requests


async def test_a_body_with_a_length(where: Where) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(6)
        peer.write(OK)
        await peer.answer(OK)
        await peer.rest()

    async with scripted(script, **where) as upstream, client_of(upstream) as client:
        body = Pieces(b"abc", b"def")
        response = await client.send(POST, method="POST", body=body, retriable=False)

        assert response.complete_body() == b"ok"
        await get(client)
        assert upstream.received == [POST + b"abcdef" + GET]


async def test_a_body_in_chunks(where: Where) -> None:
    wire = b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(len(wire))
        peer.write(OK)
        await peer.answer(OK)
        await peer.rest()

    async with scripted(script, **where) as upstream, client_of(upstream) as client:
        body = Pieces(b"abc", b"0123456789abcdef", chunked=True)
        response = await client.send(STREAM, method="POST", body=body, retriable=False)

        assert response.complete_body() == b"ok"
        await get(client)
        assert upstream.received == [STREAM + wire + GET]


class ClientGone(Exception):  # noqa: N818 - the server's word
    pass


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_client_that_fails_leaves_an_incomplete_request(
    chunked: bool, where: Where
) -> None:
    seen = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.rest()
        seen.set()

    async with scripted(script, **where) as upstream, client_of(upstream) as client:
        body = Pieces(b"abc", ClientGone(), chunked=chunked)

        with pytest.raises(ClientGone):
            await client.send(
                STREAM if chunked else POST, method="POST", body=body, retriable=False
            )

        await seen.wait()
        (received,) = upstream.received
        assert not received.endswith(b"0\r\n\r\n")
        assert b"def" not in received
        assert client.stats()[0].open == 0


@pytest.mark.parametrize("pieces", [[b"abc"], [b"abcdefg"], [b"abc", b"defghi"], []])
async def test_a_body_of_another_length_than_declared_is_cut_off(
    pieces: list[bytes],
) -> None:
    async def script(peer: Peer) -> None:
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        with pytest.raises(BodyLengthError):
            await client.send(
                POST, method="POST", body=Pieces(*pieces), retriable=False
            )

        assert client.stats()[0].open == 0


async def test_an_answer_before_the_end_of_the_request() -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.write(CHUNKED + b"5\r\nearly\r\n")
        await peer.exactly(len(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"))
        peer.write(b"4\r\nlate\r\n0\r\n\r\n")
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        body = Pieces(b"abc", more, b"def", chunked=True)
        response = await client.send(STREAM, method="POST", body=body, retriable=False)

        assert response.status == 200
        assert await response.read() == b"early"
        more.set()
        assert await whole(response) == b"late"
        assert client.stats()[0].idle == 1


async def test_an_answer_that_ends_before_the_request_ends_the_connection() -> None:
    never = asyncio.Event()
    cut = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.write(OK)
        await peer.rest()
        cut.set()

    async with scripted(script) as upstream, client_of(upstream) as client:
        body = Pieces(b"abc", never)
        response = await client.send(POST, method="POST", body=body, retriable=False)

        assert await whole(response) == b"ok"
        await cut.wait()
        assert client.stats()[0].open == 0
        assert upstream.received == [POST + b"abc"]


async def test_a_refusal_that_closes_stops_the_request() -> None:
    never = asyncio.Event()
    refused = asyncio.Event()
    answer = b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.write(answer)
        await refused.wait()
        peer.write(b"big")
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        body = Pieces(never, b"abcdef")
        response = await client.send(POST, method="POST", body=body, retriable=False)
        never.set()
        refused.set()

        assert response.status == 413
        assert await whole(response) == b"big"
        assert upstream.received[0] == POST


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"401 No", b"200 OK"])
async def test_an_answer_before_a_reset_is_not_lost(status: bytes) -> None:
    """RFC 9112, section 9.6: bytes that still come to a closed socket reset it."""
    answer = (
        b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 7\r\n\r\n"
    )
    lost = asyncio.Event()

    class Large(Streamed):
        chunked = True
        sent = 0

        async def read(self) -> bytes:
            if self.sent:
                await lost.wait()
            self.sent += 1
            return b"z" * 65536 if self.sent < 200 else b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer + b"too big")
        await writer.drain()
        # Unread bytes are in the receive buffer: the kernel sends a reset.
        await reader.read(1)
        writer.transport.abort()
        lost.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Upstream(
        name="web",
        targets=[TargetAddress(scheme="http", host="127.0.0.1", port=port)],
        connect_timeout=PATIENCE,
        response_timeout=PATIENCE,
        idle_timeout=PATIENCE,
    )
    try:
        for _ in range(10):
            lost.clear()
            response = await client.send(
                STREAM, method="POST", body=Large(), retriable=False
            )

            assert response.status == int(status[:3])
            assert await whole(response) == b"too big"
            assert client.stats()[0].open == 0
    finally:
        await client.close()
        server.close()


async def test_the_client_fails_while_the_answer_is_read() -> None:
    failing = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.write(CHUNKED + b"5\r\nearly\r\n")
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        body = Pieces(b"abc", failing, ClientGone(), chunked=True)
        response = await client.send(STREAM, method="POST", body=body, retriable=False)
        assert await response.read() == b"early"
        failing.set()

        with pytest.raises(ClientGone):
            await response.read()


async def test_a_body_that_is_cancelled_fails_the_request() -> None:
    async def script(peer: Peer) -> None:
        await peer.rest()

    class Cancelled(Streamed):
        chunked = True

        async def read(self) -> bytes:
            raise asyncio.CancelledError

    async with scripted(script) as upstream, client_of(upstream) as client:
        with pytest.raises(InvalidUpstreamResponse):
            await client.send(STREAM, method="POST", body=Cancelled(), retriable=False)


async def test_a_body_that_fails_while_it_is_stopped_harms_no_other_request() -> None:
    stopped = asyncio.Event()
    answer = b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.answer(answer)
        await stopped.wait()
        peer.write(b"big")
        await peer.rest()

    class Stubborn(Streamed):
        chunked = True

        async def read(self) -> bytes:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
                raise ClientGone

    async with scripted(script) as upstream, client_of(upstream) as client:
        response = await client.send(
            STREAM, method="POST", body=Stubborn(), retriable=False
        )

        assert await whole(response) == b"big"


async def test_an_upstream_that_does_not_take_the_body() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    class Endless(Streamed):
        chunked = True
        count = 0

        async def read(self) -> bytes:
            self.count += 1
            return b"x" * 65536

    body = Endless()
    async with (
        scripted(script) as upstream,
        client_of(upstream, idle_timeout=0.2) as client,
    ):
        with pytest.raises(UpstreamTimeout):
            await client.send(STREAM, method="POST", body=body, retriable=False)

        assert body.count < 1000


async def test_a_slow_upload_is_not_timed_out() -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(6)
        peer.write(OK)
        await peer.rest()

    async with (
        scripted(script) as upstream,
        client_of(upstream, response_timeout=1, idle_timeout=1) as client,
    ):
        asyncio.get_running_loop().call_later(1.2, more.set)
        body = Pieces(b"abc", more, b"def")
        response = await client.send(POST, method="POST", body=body, retriable=False)

        assert response.complete_body() == b"ok"


# Giving up


async def test_who_stops_waiting_closes_the_connection(where: Where) -> None:
    closed = asyncio.Event()
    requested = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        requested.set()
        await peer.rest()
        closed.set()

    async with scripted(script, **where) as upstream, client_of(upstream) as client:
        request = asyncio.create_task(get(client))
        await requested.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

        await closed.wait()
        assert client.stats()[0].open == 0


@pytest.mark.parametrize("how", ["abort", "cancel"])
async def test_who_stops_reading_closes_the_connection(how: str) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + b"3\r\none\r\n")
        await peer.rest()
        closed.set()

    async with scripted(script) as upstream, client_of(upstream) as client:
        response = await get(client)
        await response.read()
        if how == "cancel":
            reading = asyncio.create_task(response.read())
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        else:
            getattr(response, how)()

        await closed.wait()
        with pytest.raises(InvalidUpstreamResponse):
            await response.read()
        assert response.complete_body() is None
        assert client.stats()[0].open == 0


async def test_giving_up_an_answer_that_is_over_harms_no_other_request() -> None:
    async with scripted(forever(OK)) as upstream, client_of(upstream) as client:
        response = await get(client)
        response.abort()
        response.abort()

        assert response.complete_body() == b"ok"
        await get(client)
        assert len(upstream.peers) == 1


async def test_giving_up_as_the_answer_arrives_leaves_the_connection_to_the_next() -> (
    None
):
    """The answer is there, and who waited for it has not run yet."""
    async with scripted(forever(OK)) as upstream, client_of(upstream) as client:
        first = asyncio.create_task(get(client))
        await asyncio.sleep(0)
        await until_in_use(client)
        await idle_again(client)
        assert not first.done()
        next_one = asyncio.get_running_loop().create_future()
        assert client.begin(GET, method="GET", done=next_one.set_result) is not None

        first.cancel()

        async with asyncio.timeout(PATIENCE):
            response = await next_one
        assert await whole(response) == b"ok"
        assert first.cancelled()
        assert len(upstream.peers) == 1


async def test_closing_ends_what_is_going_on() -> None:
    both = asyncio.Barrier(3)

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED if peer.number else b"")
        await both.wait()
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        unanswered = asyncio.create_task(get(client))
        while not upstream.peers:
            await asyncio.sleep(0)
        response = await get(client)
        reading = asyncio.create_task(response.read())
        await both.wait()
        await client.close()

        with pytest.raises(InvalidUpstreamResponse):
            await unanswered
        with pytest.raises(InvalidUpstreamResponse):
            await reading
        assert client.stats()[0].open == 0


async def test_a_retired_upstream_lets_what_is_going_on_end() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.answer(CHUNKED)
        await go_on.wait()
        peer.write(b"3\r\nend\r\n0\r\n\r\n")
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        await get(client)
        response = await get(client)
        client.drain()
        go_on.set()

        assert await whole(response) == b"end"
        assert client.stats()[0].open == 0


async def test_small_packets_are_not_held_back() -> None:
    async with scripted(forever(OK)) as upstream, client_of(upstream) as client:
        await get(client)

        (connection,) = client._pool._backends[0].idle
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
