"""The stores that the contract is run against."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.sessions.redis.record_keys import record_key
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import parse_redis_url
from gateway.sessions.store import SessionStore
from tests.memory_store import MemoryStore
from tests.servers import Server, redis_binary, valkey_binary, valkey_server

BINARIES = {"valkey": valkey_binary(), "redis": redis_binary()}
STORES = ["memory", *(name for name, path in BINARIES.items() if path is not None)]


@dataclass
class Subject:
    """A store under test and what a foreign program can do to it."""

    store: SessionStore
    limited: SessionStore  # the same sessions, at most three for an identity
    put: Callable[[str, bytes], Awaitable[None]]
    corrupt: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture(scope="session", params=STORES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server | None]:
    if request.param == "memory":
        yield None
        return
    folder = tmp_path_factory.mktemp(request.param)
    with valkey_server(folder, binary=BINARIES[request.param]) as running:
        yield running


@pytest.fixture
async def subject(server: Server | None, tmp_path: Path) -> AsyncIterator[Subject]:
    if server is None:
        memory = MemoryStore()
        few = MemoryStore(max_per_identity=3)
        few._records = memory._records

        async def put_raw(key: str, raw: bytes) -> None:
            memory.put_raw(key, raw)

        yield Subject(memory, few, put_raw)
        await memory.close()
        return

    await asyncio.to_thread(server.command_line, "FLUSHALL")
    address = parse_redis_url(server.url)
    corrupt: list[tuple[str, str]] = []
    # A shared machine may stall for longer than the product's 250 ms.
    store = RedisStore(
        address, timeout=30, on_corrupt=lambda key, why: corrupt.append((key, why))
    )
    limited = RedisStore(address, timeout=30, max_per_identity=3)

    async def put(key: str, raw: bytes) -> None:
        await store._client.call("SET", record_key(key), raw)

    yield Subject(store, limited, put, corrupt)
    await store.close()
    await limited.close()
