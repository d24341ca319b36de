"""How what is open was let in: kept with each stream, to be judged again."""

from dataclasses import dataclass

from gateway.server.serving import Serving
from gateway.server.story import Story


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request that passed, and the configuration that let it.

    `reconnects`: when it ends, its client connects again by itself.
    """

    story: Story
    serving: Serving
    reconnects: bool = False
