import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import pytest
import redis.asyncio
import uvloop

from tests.live.browser import ORIGIN
from tests.live.libraries import LIBRARIES, SECRET, Library, parameters
from tests.live.running import running_app
from tests.live.walking import Live
from tests.live.wide import CHOSEN, WIDE
from tests.npm import node_modules
from tests.servers import Server, free_port, valkey_server
from tests.walk.harness import running_gateway

PASSWORD = "of-the-gateway-in-valkey"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/live" in item.nodeid:
            item.add_marker(pytest.mark.walk)


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    """Walk on the event loop that `gateway run` runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Walk with every library, where a test does not say with which.

    The wide ones have hundreds of packages: only `make test-apps` has them.
    """
    stated = {mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")}
    if "library" in metafunc.fixturenames and "library" not in stated:
        metafunc.parametrize("library", parameters(*CHOSEN), scope="session")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("valkey")
    with valkey_server(folder, port=free_port()) as server:
        yield server


@pytest.fixture(scope="session")
def start(
    valkey: Server,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Callable[[Library], int]]:
    """Start the app of a library, once; gives its port."""
    installed = cache(lambda of: node_modules(of, pytestconfig.cache.mkdir("npm")))
    folder = tmp_path_factory.mktemp("apps")
    with ExitStack() as running:

        @cache
        def started(name: str) -> int:
            library = next(each for each in LIBRARIES + WIDE if each.name == name)
            env = {
                "REDIS_URL": valkey.tcp_url,
                "SESSION_SECRET": SECRET,
                "BETTER_AUTH_SECRET": SECRET,
                "BETTER_AUTH_URL": ORIGIN,
                "DATABASE": "db.sqlite3",
                **library.env,
            }
            app = running_app(
                library.app,
                folder / name,
                env,
                partial(installed, library.packages),
                library.aliases,
            )
            return running.enter_context(app)

        yield lambda library: started(library.name)


@pytest.fixture
async def live(
    library: Library,
    start: Callable[[Library], int],
    valkey: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Live]:
    port = start(library)
    monkeypatch.setenv("PUBLIC_URL", ORIGIN)
    monkeypatch.setenv("APP_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("SESSION_SECRET", SECRET)
    monkeypatch.setenv("BETTER_AUTH_SECRET", SECRET)
    valkey.command_line("FLUSHALL")
    valkey.command_line("ACL", "DELUSER", "gateway")
    valkey.command_line(*acl_line(library))
    url = f"redis://gateway:{PASSWORD}@127.0.0.1:{valkey.port}/0"
    monkeypatch.setenv("REDIS_URL", url)
    admin_port = free_port()
    configuration = library.configuration(admin_port)
    async with (
        running_gateway(configuration, tmp_path, url) as gateway,
        redis.asyncio.Redis.from_url(valkey.tcp_url) as store,
    ):
        yield Live(library, gateway, admin_port, port, store)


def acl_line(library: Library) -> list[str]:
    """Read out of the documentation what the gateway may do in Redis."""
    [line] = re.findall(
        r"^    ACL SETUSER gateway .+\n(?: {6}.+\n)*", library.acl_page(), re.MULTILINE
    )
    return [word.replace(">PASSWORD", f">{PASSWORD}") for word in line.split()]
