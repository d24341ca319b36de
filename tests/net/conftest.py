import asyncio
from collections.abc import Callable

import pytest
import uvloop


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    """Commands run on asyncio's loop, `gateway run` on the other."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
