import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop
import yaml

from tests.fronts.programs import DEPLOY, KINDS, Front, running
from tests.servers import Server, valkey_server
from tests.walk.harness import Gateway, RecordingUpstream, running_gateway


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/fronts" in item.nodeid:
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


@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in KINDS],
)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@dataclass
class Site:
    """A front proxy, the gateway that it asks, and the app to which it forwards."""

    front: Front
    gateway: Gateway
    app: RecordingUpstream

    @property
    def port(self) -> int:
        return self.front.ports.front


def site_config(front: Front) -> dict[str, Any]:
    """The gateway of the examples, on the ports of a test."""
    env = {"PUBLIC_URL": "http://gw.test", "REDIS_URL": "redis://127.0.0.1:1"}
    text = front.ports.put_into((DEPLOY / "front-proxy.yaml").read_text())
    for name, value in env.items():
        text = text.replace(f"${{{name}:-", f"{value} # ")
    config: dict[str, Any] = yaml.safe_load(text)
    # Longer than the default, which a busy machine exceeds: that would be a 503.
    config["redis"] = {"timeout": "10s"}
    config["server"]["admin"] = None
    return config


@asynccontextmanager
async def running_site(
    front: Front, config: Mapping[str, Any], redis: Server, folder: Path
) -> AsyncIterator[Site]:
    app = RecordingUpstream(port=front.ports.app)
    await app.start()
    try:
        async with running_gateway(config, folder, redis.url) as gateway:
            yield Site(front, gateway, app)
    finally:
        await app.stop()
        await asyncio.sleep(0)


@pytest.fixture
async def site(front: Front, redis: Server, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(front, site_config(front), redis, tmp_path) as running:
        yield running
