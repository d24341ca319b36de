"""Protocol of the store of renewals: what renews the membership of sessions, encrypted."""

from typing import Protocol


class RenewalStore(Protocol):
    """Renewals by the key of their session. Every method may raise StoreUnavailable."""

    async def load(self, key: str) -> bytes | None:
        """Return what is stored; None if there is nothing."""
        ...

    async def put(self, key: str, sealed: bytes, keep: float) -> None:
        """Store it for `keep` seconds; returns when it is durable."""
        ...

    async def replace(self, key: str, old: bytes, new: bytes, keep: float) -> bool:
        """Store `new` for `keep` seconds if `old` is still what is stored; else False.

        Returns when it is durable: the provider may not accept `old` any more.
        """
        ...

    async def drop(self, key: str) -> None:
        """Remove it."""
        ...

    async def take_turn(self, key: str, owner: str, seconds: float) -> bool:
        """Return whether `owner` alone may renew the session, for so many seconds."""
        ...

    async def end_turn(self, key: str, owner: str) -> None:
        """End the turn; nothing happens if it is not that of `owner` any more."""
        ...
