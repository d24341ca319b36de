"""A certificate that is renewed while the gateway runs."""

import asyncio
import ssl
from pathlib import Path

from tests.proxy.certificates import Authority
from tests.servers import Server
from tests.walk.harness import RecordingUpstream, base_config, running_gateway


async def serial_of(port: int, authority: Authority) -> str:
    context = ssl.create_default_context(cafile=str(authority.path))
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="gw.test"
    )
    found: str = writer.get_extra_info("peercert")["serialNumber"]
    writer.transport.abort()
    return found


async def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "authority")
    public, private = (Path(path) for path in authority.issue("server", "gw.test"))
    config = base_config(upstream.port)
    config["server"] |= {
        "public_url": "https://gw.test",
        "tls": {"certificate": str(public), "key": str(private)},
    }
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        first = await serial_of(gateway.port, authority)

        authority.issue("server", "gw.test")
        assert await gateway.app.reload()
        second = await serial_of(gateway.port, authority)
        private.write_text("not a key")
        assert not await gateway.app.reload()
        third = await serial_of(gateway.port, authority)

        assert first != second == third
