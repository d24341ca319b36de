"""The steps of a request: how they go on, fail and are given up; the hostile rows first."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.context import RequestContext
from gateway.server.exchange import Exchange, Progress
from gateway.server.shares import UpstreamShares
from gateway.server.steps import hand_over, proceed
from gateway.spine.outcome import Outcome
from tests.server.parts import Notes, a_context


@dataclass
class Client:
    """A connection that notes how its request ended."""

    ended: list[bool] = field(default_factory=list)
    aborted: int = 0
    handling: Any = None

    def finished(self, keep_alive: bool) -> None:
        self.ended.append(keep_alive)

    def abort(self) -> None:
        self.aborted += 1


@dataclass
class Handler:
    """Settles each error as its function says."""

    settled: Callable[[Exception], Progress] = lambda *_: False
    errors: list[Exception] = field(default_factory=list)

    def perform(self, context: RequestContext, outcome: Outcome) -> Progress:
        raise AssertionError

    def settle(self, _: RequestContext, error: Exception) -> Progress:
        self.errors.append(error)
        return self.settled(error)


class Awaited:
    """An exchange that counts how often it is given up."""

    aborted = 0

    def abort(self) -> None:
        self.aborted += 1


def begun(handler: Handler | None = None) -> tuple[RequestContext, Client]:
    """A request that holds a share, a look-up and an exchange."""
    context, client = a_context(), Client()
    nothing: Any = None
    to: Any = client
    context.exchange = Exchange(nothing, nothing, to)
    context.handler = handler or Handler()
    client.handling = context
    shares = UpstreamShares(100, address=0.5, identity=0.5, patience=1.0)
    assert shares.take("192.0.2.1", "u_ada")
    context.share = (shares, "192.0.2.1", "u_ada")
    assert context.services.lookups.take("192.0.2.1")
    context.lookup_client = "192.0.2.1"
    context.awaited = Awaited()
    return context, client


def assert_released(context: RequestContext) -> None:
    assert context.share is not None
    shares = context.share[0]
    assert (shares._addresses.total, shares._identities.total) == (0, 0)
    assert (context.services.lookups.total, context.over) == (0, True)
    report = context.services.report
    assert isinstance(report, Notes)
    assert [what for what, _ in report.others].count("ended") == 1


async def settled() -> None:
    """Let tasks end."""
    for _ in range(5):
        await asyncio.sleep(0)


def answered(*_: object) -> bool:
    return True


async def test_a_client_that_leaves_between_two_steps_ends_its_request_once() -> None:
    context, client = begun()
    awaited = context.awaited
    assert isinstance(awaited, Awaited)

    context.cancel()
    context.cancel()
    proceed(context, answered)  # the record arrives late

    assert (client.ended, client.handling, awaited.aborted) == ([False], None, 1)
    assert (context.status, context.reason) == (499, Reason.CLIENT_GONE)
    assert_released(context)


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_task_that_is_cancelled_at_any_time_releases_everything(
    turns: int,
) -> None:
    """Before its first turn not one line of its coroutine runs."""
    context, client = begun()

    async def forever() -> bool:
        return bool(await asyncio.get_running_loop().create_future())

    proceed(context, lambda *_: forever())
    for _ in range(turns):
        await asyncio.sleep(0)
    client.handling.cancel()
    await settled()

    assert (client.ended, client.handling) == ([False], None)
    assert (context.status, context.reason) == (499, Reason.CLIENT_GONE)
    assert_released(context)


def fails(error: Exception) -> Progress:
    raise error


async def fails_later(error: Exception) -> bool:
    await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize("step", [fails, fails_later])
async def test_an_error_of_a_step_has_one_place(
    step: Callable[[Exception], Progress],
) -> None:
    handler = Handler(settled=lambda _: True)
    context, client = begun(handler)
    error = StoreUnavailable("away")

    proceed(context, lambda *_: step(error))
    await settled()

    assert (handler.errors, client.ended, client.aborted) == ([error], [True], 0)
    assert_released(context)


@pytest.mark.parametrize("step", [fails, fails_later])
@pytest.mark.parametrize("settling", [fails, fails_later])
async def test_an_error_in_the_response_to_an_error_aborts(
    step: Callable[[Exception], Progress], settling: Callable[[Exception], Progress]
) -> None:
    context, client = begun(Handler(settled=settling))

    proceed(context, lambda *_: step(ValueError("first")))
    await settled()

    assert (client.ended, client.aborted) == ([False], 1)
    assert_released(context)


async def test_a_task_hands_the_request_over_and_ends() -> None:
    context, client = begun()
    found = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        await found
        hand_over(context, lambda *_: None)  # a callback goes on

    def step(*_: object) -> Coroutine[Any, Any, None]:
        return waits()

    proceed(context, step)
    await asyncio.sleep(0)
    assert client.handling is not context
    found.set_result(None)
    await settled()

    assert (client.handling, client.ended) == (context, [])
    proceed(context, answered)
    assert client.ended == [True]
    assert_released(context)


async def test_a_client_that_leaves_after_the_handover_ends_the_request() -> None:
    context, client = begun()

    async def waits() -> None:
        hand_over(context, lambda *_: None)

    proceed(context, lambda *_: waits())
    await settled()
    client.handling.cancel()

    assert client.ended == [False]
    assert_released(context)
