"""Parse the Redis URL.

redis://[user:password@]host[:port][/db]            one server
rediss://…                                          the same over TLS
unix://[user:password@]/path/to/socket[?db=0]       one server, Unix socket
redis+sentinel://h[:p],h[:p]/name[/db]              found through Sentinel
redis+cluster://h[:p],h[:p]                         Redis Cluster
rediss+sentinel://… rediss+cluster://…              the same over TLS

Query: `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (paths) with TLS;
`sentinel_username`, `sentinel_password` with Sentinel. Certificates are always
verified; there is no option that would not.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, unquote

from gateway.net.resolver import Resolver

_SCHEMES: Final = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
_MAX_DIGITS: Final = 6
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search


class RedisKind(StrEnum):
    """How the server of a key is found."""

    SERVER = "server"
    UNIX = "unix"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """One Redis, found in one of four ways. Prints without its passwords."""

    kind: RedisKind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    service: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    # Not part of the value: all clients of this address share its look-ups.
    resolver: Resolver = field(
        default_factory=partial(Resolver, in_turn=False), compare=False, repr=False
    )

    def option(self, name: str) -> str | None:
        """Return a query option of the URL, or None."""
        return dict(self.options).get(name)

    def __str__(self) -> str:
        """The URL without user, password and options."""
        scheme = "redis" if self.kind is not RedisKind.UNIX else "unix"
        kind = {RedisKind.SENTINEL: "+sentinel", RedisKind.CLUSTER: "+cluster"}
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in self.hosts
        )
        service = f"/{self.service}" if self.service else ""
        number = f"/{self.db}" if self.db else ""
        place = self.path if self.kind is RedisKind.UNIX else hosts + service + number
        return f"{scheme}{'s' if self.tls else ''}{kind.get(self.kind, '')}://{place}"


def parse_redis_url(url: str) -> RedisAddress:
    """Read a Redis URL. Raises ValueError, which never repeats the URL."""
    if _BAD_ESCAPE(url):
        raise ValueError("a % that is not followed by two hex digits")
    scheme, colon, rest = url.partition(":")
    if not colon or scheme not in _SCHEMES:
        raise ValueError(f"the scheme is none of {', '.join(_SCHEMES)}")
    kind, tls = RedisKind(_SCHEMES[scheme][0]), _SCHEMES[scheme][1]
    slashes = rest.startswith("//")
    if not slashes and kind is not RedisKind.UNIX:
        raise ValueError("// is missing after the scheme")
    if not slashes and "@" in rest:
        raise ValueError("unix:// comes before user and password; in a path @ is %40")
    rest, _, query = rest.removeprefix("//").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    username, password, rest = _credentials(rest)
    if kind is RedisKind.UNIX:
        db = _number(options.pop("db", "0"), "db")
        _only(options, frozenset())
        if not rest.startswith("/"):
            raise ValueError("a unix: URL needs the absolute path of the socket")
        return RedisAddress(
            kind=kind, path=unquote(rest), db=db, username=username, password=password
        )
    _only(
        options,
        (_TLS_OPTIONS if tls else frozenset())
        | (_SENTINEL_OPTIONS if kind is RedisKind.SENTINEL else frozenset()),
    )
    where, _, path = rest.partition("/")
    default = 26379 if kind is RedisKind.SENTINEL else 6379
    hosts = tuple(_host(part, default) for part in where.split(","))
    service, db = _path(kind, path)
    if kind is RedisKind.SERVER and len(hosts) > 1:
        raise ValueError("several hosts need redis+sentinel:// or redis+cluster://")
    return RedisAddress(
        kind=kind,
        hosts=hosts,
        db=db,
        service=service,
        username=username,
        password=password,
        tls=tls,
        options=tuple(options.items()),
    )


def _credentials(rest: str) -> tuple[str | None, str | None, str]:
    # The last "@" before the path ends the credentials, as browsers read it.
    userinfo, at, where = rest.rpartition("@")
    if not at:
        return None, None, rest
    username, _, password = userinfo.partition(":")
    return unquote(username) or None, unquote(password) or None, where


def _host(part: str, default: int) -> tuple[str, int]:
    if part.startswith("["):
        host, bracket, tail = part[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise ValueError("an IPv6 address is written [address]:port")
        port = tail[1:]
    else:
        host, _, port = part.partition(":")
    if not host:
        raise ValueError("a host is missing")
    number = _number(port, "port") if port else default
    if not 0 < number < 1 << 16:
        raise ValueError("a port is a number from 1 to 65535")
    return host, number


def _path(kind: RedisKind, path: str) -> tuple[str, int]:
    parts = [unquote(part) for part in path.split("/") if part]
    service = ""
    if kind is RedisKind.SENTINEL:
        if not parts:
            raise ValueError("redis+sentinel://hosts/NAME: the service name is missing")
        service = parts.pop(0)
    if kind is RedisKind.CLUSTER and parts:
        raise ValueError("Redis Cluster has no databases: nothing follows the hosts")
    if len(parts) > 1:
        raise ValueError("nothing follows the database number")
    return service, _number(parts[0], "database") if parts else 0


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ValueError(f"the {what} is not a number")
    return int(text)


def _only(options: dict[str, str], known: frozenset[str]) -> None:
    for name in options:
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise ValueError(f"unknown option in the query; known here: {allowed}")
