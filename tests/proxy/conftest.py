"""Every test of this folder runs on both event loops: asyncio's and uvloop."""

import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[..., object]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
