"""The address of an upstream target: TCP, TLS or Unix socket."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535
_HOST_CHARACTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetAddress:
    """The address of one target. `path` is a Unix socket; then host is unused."""

    scheme: str
    host: str
    port: int
    path: str | None = None

    @property
    def authority(self) -> str:
        """The value of a Host field for this target."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.path is not None or self.port == _DEFAULT_PORTS[self.scheme]:
            return host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"{self.scheme}://{self.authority}"


def parse_target_url(url: str) -> TargetAddress:
    """Parse `http://host[:port]`, `https://host[:port]` or `unix:/path`.

    Raises:
        ValueError: it is none of these, or has parts such as a path. The message is
            shown to the author of the configuration and does not repeat the URL,
            which may contain a password.
    """
    if url.startswith("unix:"):
        return _unix_target(url.removeprefix("unix:"))
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("an upstream URL starts with http://, https:// or unix:/")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an upstream URL holds no user name and no password")
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        raise ValueError(
            "an upstream URL ends after the port; strip_prefix changes paths"
        )
    host = parts.hostname or ""
    if not host or not _HOST_CHARACTERS.issuperset(host):
        raise ValueError("an upstream URL names a host")
    return TargetAddress(scheme=parts.scheme, host=host, port=_port_of(parts))


def _unix_target(path: str) -> TargetAddress:
    if path.startswith("///"):
        path = path.removeprefix("//")
    if not path.startswith("/") or path.startswith("//") or "\0" in path:
        raise ValueError("a unix socket is written unix:/absolute/path")
    return TargetAddress(scheme="http", host="localhost", port=0, path=path)


def _port_of(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"a port is a number from 1 to {_LAST_PORT}") from error
    if port is None:
        return _DEFAULT_PORTS[parts.scheme]
    if port == 0:
        raise ValueError(f"a port is a number from 1 to {_LAST_PORT}")
    return port
