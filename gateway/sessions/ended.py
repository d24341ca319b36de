"""Sessions that were seen to end: a clock set back reactivates none of them."""

from typing import Final

# 10,000 keys of 64 characters are about 1.5 MB; an older one is judged by the clock.
_REMEMBERED: Final = 10_000


class EndedSessions:
    """When a session was seen to have ended by the clock, by its key: `seen`."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}

    def note(self, key: str, now: float) -> None:
        """Record that the session had ended at `now`."""
        self.seen.pop(key, None)
        self.seen[key] = now
        if len(self.seen) > _REMEMBERED:
            del self.seen[next(iter(self.seen))]

    def at_least(self, key: str, now: float) -> float:
        """Return the time to evaluate a session at: `now`, or its recorded end if later.

        A record that was given a longer life since then is valid again.
        """
        return max(now, self.seen.get(key, now)) if self.seen else now
