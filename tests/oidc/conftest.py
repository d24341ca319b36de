import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.npm import node_modules
from tests.oidc.hostile import HostileProvider, hostile_provider, provider_config
from tests.oidc.real import PACKAGES, RealProvider, real_provider
from tests.oidc.walking import Browser, signing_config
from tests.servers import Server, valkey_server
from tests.walk.harness import Gateway, RecordingUpstream, running_gateway


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    """Sign in on the event loop that `gateway run` runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def real(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[RealProvider]:
    packages = node_modules(PACKAGES, pytestconfig.cache.mkdir("npm"))
    with real_provider(tmp_path_factory.mktemp("idp"), packages) as running:
        yield running


@pytest.fixture
async def provider() -> AsyncIterator[HostileProvider]:
    async with hostile_provider() as running:
        yield running


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    recording = RecordingUpstream()
    await recording.start()
    yield recording
    await recording.stop()


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream,
    provider: HostileProvider,
    redis: Server,
    tmp_path: Path,
) -> AsyncIterator[Gateway]:
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


@pytest.fixture
def browser(gateway: Gateway) -> Browser:
    return Browser(gateway)
