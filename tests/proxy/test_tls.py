"""TLS towards upstreams: the upstream is verified, and so are we if it asks."""

import ssl
from pathlib import Path

import pytest

from gateway.errors import ConnectFailed, InvalidUpstreamResponse
from gateway.proxy.tls import client_ssl_context
from tests.proxy.certificates import Authority
from tests.proxy.support import GET, OK, Peer, client_of, get, scripted, whole


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


def serving(
    authority: Authority, *names: str, clients: Authority | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", *names))
    if clients is not None:
        context.load_verify_locations(clients.path)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def answering(peer: Peer) -> None:
    while True:
        await peer.answer(OK)


async def test_an_unknown_authority_is_refused(
    authority: Authority, stranger: Authority
) -> None:
    server = serving(stranger, "127.0.0.1")
    context = client_ssl_context(authority.path, None, None)
    async with (
        scripted(answering, ssl=server) as upstream,
        client_of(upstream, ssl_context=context) as client,
    ):
        with pytest.raises(ConnectFailed) as failure:
            await get(client)

        assert isinstance(failure.value.__cause__, ssl.SSLCertVerificationError)
        assert upstream.received in ([], [b""])


async def test_without_a_context_the_systems_authorities_are_believed(
    authority: Authority,
) -> None:
    server = serving(authority, "127.0.0.1")
    async with (
        scripted(answering, ssl=server) as upstream,
        client_of(upstream) as client,
    ):
        with pytest.raises(ConnectFailed):
            await get(client)


async def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    server = serving(authority, "other.example")
    context = client_ssl_context(authority.path, None, None)
    async with (
        scripted(answering, ssl=server) as upstream,
        client_of(upstream, ssl_context=context) as client,
    ):
        with pytest.raises(ConnectFailed):
            await get(client)


async def test_a_server_name_takes_the_place_of_the_host(authority: Authority) -> None:
    server = serving(authority, "app.example")
    context = client_ssl_context(authority.path, None, None)
    async with (
        scripted(answering, ssl=server) as upstream,
        client_of(upstream, ssl_context=context, server_name="app.example") as client,
    ):
        for _ in range(5):
            assert (await get(client)).complete_body() == b"ok"

        assert upstream.received == [GET * 5]


async def test_both_sides_show_a_certificate(
    authority: Authority, stranger: Authority
) -> None:
    server = serving(authority, "127.0.0.1", clients=stranger)
    ours = client_ssl_context(authority.path, *stranger.issue("gateway"))
    async with (
        scripted(answering, ssl=server) as upstream,
        client_of(upstream, ssl_context=ours) as client,
    ):
        assert (await get(client)).complete_body() == b"ok"


async def test_a_wrong_certificate_of_ours_is_refused(
    authority: Authority, stranger: Authority
) -> None:
    server = serving(authority, "127.0.0.1", clients=stranger)
    ours = client_ssl_context(authority.path, *authority.issue("gateway"))
    async with (
        scripted(answering, ssl=server) as upstream,
        client_of(upstream, ssl_context=ours) as client,
    ):
        # TLS 1.3: the client learns of it after its own handshake is over.
        with pytest.raises((ConnectFailed, InvalidUpstreamResponse)):
            await get(client)

        assert upstream.received in ([], [b""])


async def test_a_large_answer_over_tls(authority: Authority) -> None:
    size = 4 * 1024 * 1024

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        peer.write(b"x" * size)
        await peer.answer(OK)

    context = client_ssl_context(authority.path, None, None)
    async with (
        scripted(script, ssl=serving(authority, "127.0.0.1")) as upstream,
        client_of(upstream, ssl_context=context) as client,
    ):
        assert len(await whole(await get(client))) == size
        assert (await get(client)).complete_body() == b"ok"
        assert len(upstream.peers) == 1


def test_a_key_without_a_certificate_is_a_mistake(authority: Authority) -> None:
    with pytest.raises(ValueError):
        client_ssl_context(None, None, authority.issue("gateway")[1])


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        client_ssl_context(str(tmp_path / "no.pem"), None, None)


def test_nothing_below_tls_12_is_supported_and_every_peer_is_verified() -> None:
    context = client_ssl_context(None, None, None)

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
