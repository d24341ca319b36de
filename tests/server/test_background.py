"""Tasks beside the requests: their exceptions, their end, what they report."""

import asyncio

import pytest

from gateway.server.background import BackgroundTasks


async def test_an_exception_in_a_task_is_reported_and_the_others_go_on() -> None:
    reported: asyncio.Queue[BaseException | None] = asyncio.Queue()
    tasks = BackgroundTasks(reported.put_nowait)
    cancelled = asyncio.Event()

    async def fail() -> None:
        raise ValueError("out of luck")

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    tasks.start(run())
    tasks.start(fail())

    with pytest.raises(ValueError, match="out of luck"):
        raise (await reported.get()) or AssertionError
    assert not cancelled.is_set()
    await tasks.cancel()
    assert cancelled.is_set()
    assert reported.empty()
