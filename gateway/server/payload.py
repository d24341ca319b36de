"""The body of a request as the connection receives it."""

from typing import Protocol


class Payload(Protocol):
    """The body of a request as it arrives; a part of aiohttp's StreamReader."""

    total_bytes: int
    """Bytes received so far, read or not."""

    def is_eof(self) -> bool:
        """Return whether all of it has arrived."""
        ...

    def exception(self) -> BaseException | type[BaseException] | None:
        """Return what is wrong with it."""
        ...

    def set_exception(self, exc: BaseException) -> object:
        """Fail the reader: the rest will not arrive."""
        ...

    def read_nowait(self) -> bytes:
        """Return what has arrived and was not read."""
        ...

    async def readany(self) -> bytes:
        """Return the next bytes as soon as there are any; b"" at the end."""
        ...


class ArrivedBody:
    """A body that arrived with its head, in one piece."""

    __slots__ = ("_data", "total_bytes")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.total_bytes = len(data)

    def is_eof(self) -> bool:
        """See Payload."""
        return True

    def exception(self) -> None:
        """See Payload."""
        return

    def set_exception(self, exc: BaseException) -> None:
        """See Payload; nothing is left to fail."""

    def read_nowait(self) -> bytes:
        """See Payload."""
        data, self._data = self._data, b""
        return data

    async def readany(self) -> bytes:
        """See Payload."""
        return self.read_nowait()
