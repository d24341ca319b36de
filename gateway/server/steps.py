"""Runs the steps of a request: callbacks where nothing waits, a task where something does.

A step takes the context, what the step before has found, and what has arrived since; it
returns its Progress. It is called through `proceed`: by the connection at first, by the
store and an upstream later. So every failure has one place, and most requests need no task.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias

from gateway.server.context import RequestContext, Services
from gateway.server.exchange import Exchange, Progress
from gateway.server.runtime import Runtime
from gateway.spine.outcome import Outcome

Step: TypeAlias = Callable[[RequestContext, Any, Any], Progress]


class RequestHandler(ABC):
    """Begins the requests of a listener; implements `Handler` with what it performs.

    Each request is handled by the `runtime` that is active when it comes.
    """

    runtime: Runtime

    def __init__(self, services: Services, first: Step) -> None:
        """Begin each request with the step `first`, which is given 16 random hex digits."""
        self._services = services
        self._first = first

    def begin(self, exchange: Exchange) -> None:
        """Begin to handle one request; see OnRequest."""
        services = self._services
        system = services.system
        drawn = system.hex(40)
        # By position: keywords would double the cost of creating the object.
        exchange.client.handling = context = RequestContext(
            self,
            exchange,
            self.runtime,
            services,
            system.ticks(),
            system.clock.now(),
            drawn[:32],  # the ID of the request
            drawn[48:],  # the nonce
        )
        services.report.request_started()
        proceed(context, self._first, drawn[32:48])

    @abstractmethod
    def perform(self, context: RequestContext, outcome: Outcome) -> Progress:
        """See Handler."""

    @abstractmethod
    def settle(self, context: RequestContext, error: Exception) -> Progress:
        """See Handler."""


def proceed(
    context: RequestContext, step: Step, found: object = None, arrived: object = None
) -> None:
    """Run a step; never raises. Nothing is done for a request that has ended."""
    if context.over:
        return
    try:
        # As many arguments for each step: *args would be packed and unpacked each time.
        progress = step(context, found, arrived)
    except Exception as error:  # noqa: BLE001 - invariant 7: always a response
        progress = _settled(context, error)
    if progress is None:
        return
    if isinstance(progress, bool):
        context.end(progress)
    else:
        _wait(context, progress)


def hand_over(
    context: RequestContext, step: Step, found: object = None, arrived: object = None
) -> None:
    """Go on from a task, which ends then: its work was to wait."""
    context.exchange.client.handling = context
    proceed(context, step, found, arrived)


async def completed(progress: bool | Coroutine[Any, Any, bool | None]) -> bool | None:
    """Wait for what is left."""
    return progress if isinstance(progress, bool) else await progress


def _settled(context: RequestContext, error: Exception) -> Progress:
    try:
        return context.handler.settle(context, error)
    except Exception as another:  # noqa: BLE001 - logged here or never
        context.services.report.log_unhandled_exception(another, context)
        context.exchange.client.abort()
        return False


def _wait(context: RequestContext, rest: Coroutine[Any, Any, bool | None]) -> None:
    task = asyncio.get_running_loop().create_task(_run(context, rest))
    context.exchange.client.handling = task
    task.add_done_callback(partial(_waited, context, rest))


async def _run(
    context: RequestContext, rest: Coroutine[Any, Any, bool | None]
) -> bool | None:
    try:
        return await rest
    except Exception as error:  # noqa: BLE001 - as in `proceed`
        progress = _settled(context, error)
    try:
        return None if progress is None else await completed(progress)
    except Exception as another:  # noqa: BLE001 - logged here or never
        context.services.report.log_unhandled_exception(another, context)
        context.exchange.client.abort()
        return False


def _waited(
    context: RequestContext,
    rest: Coroutine[Any, Any, bool | None],
    task: "asyncio.Task[bool | None]",
) -> None:
    rest.close()  # a task that is cancelled at once never begins it
    if task.cancelled():
        context.cancel()
    elif (keep_alive := task.result()) is not None:
        context.end(keep_alive)
