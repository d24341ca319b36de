import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.servers import Server, valkey_server
from tests.walk.external import custom_config
from tests.walk.harness import (
    Gateway,
    RecordingUpstream,
    base_config,
    running_gateway,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/walk" in item.nodeid:
            item.add_marker(pytest.mark.walk)


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    """Walk on the event loop that `gateway run` runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    recording = RecordingUpstream()
    await recording.start()
    yield recording
    await recording.stop()
    await asyncio.sleep(0)


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    config = base_config(upstream.port)
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


@pytest.fixture
async def custom(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    """A gateway in front of an app with sessions of its own making."""
    await asyncio.to_thread(redis.command_line, "FLUSHALL")
    config = custom_config(upstream.port)
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running
