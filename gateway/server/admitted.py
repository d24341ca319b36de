"""The request behind an open stream, kept to be evaluated again after a reload."""

from dataclasses import dataclass

from gateway.server.context import RequestContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request that was forwarded under the configuration of its context.

    `reconnects`: the client reconnects automatically when the stream ends.
    """

    context: RequestContext
    reconnects: bool = False
