"""A real server as the upstream: nginx."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.proxy.target import TargetAddress
from tests.proxy.support import GET, HEAD, Pieces, client_of, get, whole
from tests.servers import free_port

pytestmark = [pytest.mark.walk, pytest.mark.needs("nginx")]

CONFIG = """
{user}
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 10000; client_max_body_size 100m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; listen unix:{folder}/socket;
    root {folder};
    location /x {{ return 200 "small\\n"; }}
    location /gone {{ return 204; }}
    location /big {{ }}
    location /upload {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, int, subprocess.Popen[bytes]]]:
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    user = "" if os.geteuid() else "user root;"  # the folder is nobody else's
    (folder / "conf").write_text(CONFIG.format(folder=folder, port=port, user=user))
    (folder / "big").write_bytes(b"0123456789abcdef" * 500_000)
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert program
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", "conf", "-e", "stderr"],
        stderr=subprocess.PIPE,
    )
    try:
        yield folder, port, process
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(params=["tcp", "unix"])
async def target(
    request: pytest.FixtureRequest, nginx: tuple[Path, int, subprocess.Popen[bytes]]
) -> TargetAddress:
    folder, port, process = nginx
    while True:
        assert process.poll() is None
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            break
    if request.param == "unix":
        return TargetAddress(scheme="http", host="x", port=0, path=f"{folder}/socket")
    return TargetAddress(scheme="http", host="127.0.0.1", port=port)


def head(method: bytes, path: bytes, *fields: bytes) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: app", *fields, b"", b""]
    return b"\r\n".join(lines)


async def test_hundreds_of_requests_share_a_few_connections(
    target: TargetAddress,
) -> None:
    async with client_of(target) as client:

        async def one() -> None:
            for _ in range(50):
                response = await get(client)
                assert (response.status, await whole(response)) == (200, b"small\n")

        await asyncio.gather(*(one() for _ in range(8)))

        assert client.stats()[0].open <= 8
        assert client.stats()[0].in_use == 0


async def test_kinds_of_answers_share_one_connection(target: TargetAddress) -> None:
    async with client_of(target) as client:
        for _ in range(3):
            assert (await get(client, HEAD, "HEAD")).content_length == 6
            assert (await get(client, head(b"GET", b"/gone"))).status == 204
            assert (await get(client, head(b"GET", b"/missing"))).status == 404
            big = await get(client, head(b"GET", b"/big"))
            tag = dict(big.headers)[b"ETag"]
            assert len(await whole(big)) == 8_000_000
            unchanged = head(b"GET", b"/big", b"If-None-Match: " + tag)
            assert (await get(client, unchanged)).status == 304
            part = await get(client, head(b"GET", b"/big", b"Range: bytes=1-3"))
            assert (part.status, await whole(part)) == (206, b"123")
            assert await whole(await get(client, GET)) == b"small\n"

        assert client.stats()[0].open == 1


async def test_a_download_that_is_given_up_closes_only_its_connection(
    target: TargetAddress,
) -> None:
    async with client_of(target) as client:
        big = await get(client, head(b"GET", b"/big"))
        await big.read()
        big.abort()

        assert await whole(await get(client)) == b"small\n"
        assert client.stats()[0].open == 1


async def test_uploads(
    target: TargetAddress, nginx: tuple[Path, int, subprocess.Popen[bytes]]
) -> None:
    pieces = [b"abc" * 10_000] * 100
    async with client_of(target) as client:
        for number, chunked in enumerate((False, True)):
            field = (
                b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 3000000"
            )
            path = b"/upload/%d" % number
            response = await client.send(
                head(b"PUT", path, field),
                method="PUT",
                body=Pieces(*pieces, chunked=chunked),
                retriable=False,
            )
            assert response.status in {201, 204}
            await whole(response)

        assert await whole(await get(client)) == b"small\n"
