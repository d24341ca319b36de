"""How an open stream was let in: kept with it, to be judged again after a reload."""

from dataclasses import dataclass

from gateway.server.context import RequestContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request that was forwarded, by the configuration of its context.

    `reconnects`: when it ends, its client connects again by itself.
    """

    context: RequestContext
    reconnects: bool = False
