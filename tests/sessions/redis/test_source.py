"""What both kinds of source do alike: the gateway's own records and an app's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.redis.source import RedisSource
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import RedisAddress, parse_redis_url
from tests.servers import Server, free_port, valkey_server
from tests.sessions.external.test_store import a_credential
from tests.sessions.samples import NOW, a_key

KINDS: dict[str, Callable[[RedisAddress], RedisSource]] = {
    "own": lambda address: RedisStore(address, timeout=30),
    "external": lambda address: ExternalStore(address, timeout=30, remember=3600.0),
}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("valkey")
    with valkey_server(folder, port=free_port()) as server:
        yield server


async def looked_up(source: RedisSource) -> object:
    if isinstance(source, ExternalStore):
        return await source.look_up(a_credential(), NOW)
    assert isinstance(source, RedisStore)
    return await source.load(a_key())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_closed_source_is_unavailable(kind: str, valkey: Server) -> None:
    source = KINDS[kind](parse_redis_url(valkey.url))
    await source.ping()
    assert await looked_up(source) is None

    await source.close()

    with pytest.raises(StoreUnavailable):
        await looked_up(source)
    with pytest.raises(StoreUnavailable):
        await source.ping()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_source_can_be_closed_twice(kind: str, valkey: Server) -> None:
    source = KINDS[kind](parse_redis_url(valkey.url))
    await source.ping()

    await source.close()
    await source.close()
