"""An early response over TLS is not lost with the connection that a write ended."""

import os
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvloop

from gateway.proxy.target import TargetAddress
from gateway.proxy.tls import client_ssl_context
from tests.proxy.certificates import Authority
from tests.proxy.support import OK, Peer, Pieces, client_of, get, scripted, whole

# It announces the end of the connection. Without, the connection of a response that
# arrives after the whole body was written is used again, and the next request is lost.
_ANSWER = b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"
_PIECES = [b"z" * 65536] * 64
_HEAD = b"POST /x HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % (65536 * 64)
_TRIES = 64


@contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[int]:
    """A server that reads the head, answers, and resets the connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                opened, _ = server.accept()
            except OSError:
                return
            # Else the kernel of the server keeps the response back until the session
            # tickets are acknowledged, and drops it with the reset.
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.settimeout(20)
            try:
                with context.wrap_socket(opened, server_side=True) as secured:
                    secured.recv(1024)
                    secured.sendall(_ANSWER)
            except OSError:
                opened.close()

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_an_early_response_is_read_after_the_reset(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "127.0.0.1"))
    found: list[tuple[int, bytes]] = []

    async def ask(port: int) -> None:
        address = TargetAddress(scheme="https", host="127.0.0.1", port=port)
        trusted = client_ssl_context(authority.path, None, None)
        async with client_of(address, ssl_context=trusted) as client:
            for _ in range(_TRIES):
                body = Pieces(*_PIECES)
                response = await client.send(
                    _HEAD, method="POST", body=body, retriable=False
                )
                found.append((response.status, await whole(response)))

    with refusing(context) as port:
        uvloop.run(ask(port))

    # Without a second read from the socket, about every fourth arrives.
    assert found == [(413, b"big")] * _TRIES


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_body_is_sent_without_a_free_descriptor(tmp_path: Path) -> None:
    """Its duplicate is for early responses only."""
    authority = Authority(tmp_path, "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "127.0.0.1"))
    head = b"POST /x HTTP/1.1\r\nHost: app\r\nContent-Length: 6\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.head()
        await peer.exactly(6)
        peer.write(OK)
        await peer.rest()

    async with scripted(script, ssl=context) as upstream:
        port = upstream.address.port
        address = TargetAddress(scheme="https", host="127.0.0.1", port=port)
        trusted = client_ssl_context(authority.path, None, None)
        async with client_of(address, ssl_context=trusted) as client:
            await whole(await get(client))
            body = Pieces(b"abc", b"def")

            with no_free_descriptor():
                response = await client.send(
                    head, method="POST", body=body, retriable=False
                )

            assert await whole(response) == b"ok"
            assert client.stats()[0].in_use == 0
