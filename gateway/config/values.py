"""Validators of single values: each takes a YAML value and returns a valid one."""

import base64
import re
from collections.abc import Mapping
from ipaddress import (
    AddressValueError,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationInfo

from gateway.config.diagnostic import expected, refused
from gateway.oidc.discovery import is_safe_url
from gateway.sessions.redis.url import parse_redis_url

KIB: Final = 1024
MIB: Final = 1024 * KIB


class Secret:
    """Text that is never shown: not by repr, str, format or a traceback's locals."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Return the text itself, for the one who has to use it."""
        return self._text

    def __repr__(self) -> str:
        return "…"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


# --- durations and sizes


def duration(value: Any) -> float:
    """Read "250ms", "10s", "15m", "6h" or "7d" as seconds; zero is invalid."""
    found = _DURATION(value) if isinstance(value, str) else None
    if found is None or not (seconds := float(found[1]) * _SECONDS[found[2]]):
        raise expected("a duration such as 250ms, 10s, 15m, 6h or 7d")
    if seconds > _LONGEST:
        raise expected("a duration of at most 3650d")
    return round(seconds, 3)


def size(value: Any) -> int:
    """Read "32KiB", "64MiB", "10MB" or a whole number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _HUGE:
        return value
    found = _SIZE(value) if isinstance(value, str) else None
    if found is None:
        raise expected("a size such as 32KiB, 64MiB or 10MB, or a number of bytes")
    return int(found[1]) * _BYTES[found[2]]


_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)").fullmatch
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST: Final = 3650 * 86400
_SIZE = re.compile(r"([0-9]{1,9})(B|kB|KB|KiB|MB|MiB|GB|GiB)").fullmatch
_BYTES: Final = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "KiB": KIB,
    "MB": 1000**2,
    "MiB": MIB,
    "GB": 1000**3,
    "GiB": 1024**3,
}
_HUGE: Final = 2**50


# --- addresses and URLs


def split_listen(text: str) -> tuple[str, int] | Path:
    """Return what a legal `listen` says: (host, port), or the path of a socket."""
    if text.startswith("unix:"):
        return Path(text.removeprefix("unix:"))
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def listen(value: Any) -> str:
    """Accept host:port, [v6]:port or unix:/path."""
    what = "an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/gateway.sock"
    if not isinstance(value, str):
        raise expected(what)
    if value.startswith("unix:"):
        if _UNIX(value) is None:
            raise expected("unix: followed by an absolute path")
        return value
    if _PORT(value):
        raise expected(what, "write 0.0.0.0 before the colon to listen everywhere")
    if (found := _HOST_PORT(value)) is None or not is_host(found["host"]):
        raise expected(what)
    if int(found["port"]) > _LAST_PORT:
        raise expected("a port of at most 65535")
    return value.lower()


def dns_server(value: Any) -> str:
    """Accept an IP address, with or without a port; returns `address:port`."""
    what = "an IP address such as 10.0.0.53, 10.0.0.53:5353 or [fd00::53]:53"
    if not isinstance(value, str):
        raise expected(what)
    found = _SERVER(value)
    host, port = (
        (found["six"] or found["four"], found["port"]) if found else (value, None)
    )
    try:
        address = ip_address(host)
    except ValueError:
        raise expected(what) from None
    number = int(port or _DNS_PORT)
    if not 0 < number <= _LAST_PORT:
        raise expected(what)
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"{shown}:{number}"


_DNS_PORT: Final = 53
_SERVER = re.compile(
    r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:]*))(?::(?P<port>[0-9]{1,5}))?"
).fullmatch


def one_or_many(value: Any) -> Any:
    """Return a single value as a tuple of one."""
    return value if isinstance(value, tuple) else (value,)


def network(value: Any) -> str:
    """Accept an address or a network in CIDR form, without stray host bits."""
    what = "an address or a network such as 10.0.0.0/8"
    if not isinstance(value, str):
        raise expected(what)
    try:
        found = ip_network(value, strict=False)
    except ValueError:
        raise expected(what) from None
    if "/" in value and value.split("/")[0] != str(found.network_address):
        try:
            ip_network(value)
        except ValueError:
            hint = f"the network is {found}"
            raise expected("a network address without host bits", hint) from None
    if found.version == 6 and found.subnet_of(_MAPPED):
        # Addresses of that form are compared as the IPv4 addresses that they are.
        start = found.network_address.ipv4_mapped
        hint = f"write {start}/{found.prefixlen - _MAPPED.prefixlen}"
        raise expected("an IPv4 network in its own form", hint)
    return str(found)


_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def origin(value: Any) -> str:
    """Accept http(s)://host[:port] and nothing after it."""
    what = "an origin such as https://app.example.com"
    if not isinstance(value, str) or (found := _ORIGIN(value)) is None:
        raise expected(what, _why_not(value))
    if not is_host(found["host"]) or int(found["port"] or 1) > _LAST_PORT:
        raise expected(what)
    return value.lower().removesuffix("/")


def return_origin(value: Any) -> str:
    """Accept an origin; its host may be "*." and a domain of at least two labels."""
    if not isinstance(value, str) or "://*." not in value:
        return origin(value)
    plain = origin(value.replace("://*.", "://", 1))
    domain = plain.partition("://")[2]
    if "." not in domain.partition(":")[0] or domain[:1].isdigit() or "[" in domain:
        raise expected("*. before a domain such as example.com")
    return plain.replace("://", "://*.", 1)


def upstream_url(value: Any) -> str:
    """Accept http://, https:// without a path, or unix:/path (HTTP over a socket)."""
    what = "a URL such as http://127.0.0.1:3000, https://app.internal or unix:/run/app"
    if isinstance(value, str) and value.startswith("unix:"):
        if _UNIX(value) is None:
            raise expected("unix: followed by an absolute path")
        return value
    if not isinstance(value, str) or (found := _ORIGIN(value)) is None:
        raise expected(what, _why_not(value))
    if not is_host(found["host"]) or int(found["port"] or 1) > _LAST_PORT:
        raise expected(what)
    return value.lower().removesuffix("/")


def link(value: Any) -> str:
    """Accept a path on the gateway's origin, or an absolute http(s) URL."""
    what = "a path such as /auth/login, or an absolute http(s) URL"
    if not isinstance(value, str) or _LINK(value) is None:
        raise expected(what)
    if value.startswith("/"):
        return value
    found = _ORIGIN("/".join(value.split("/")[:3]).split("?")[0])
    if found is None or not is_host(found["host"]):
        raise expected(what)
    return value


def issuer(value: Any) -> str:
    """Accept the issuer of an OpenID Connect provider, unchanged."""
    what = "an issuer such as https://id.example.com/realms/acme"
    if not is_safe_url(value) or "?" in value:
        raise expected(what, _why_no_provider(value))
    return str(value)


def provider_url(value: Any) -> str:
    """Accept an endpoint of a provider: https, or http on a loopback address."""
    if not is_safe_url(value):
        raise expected("an https URL", _why_no_provider(value))
    return str(value)


def _why_no_provider(value: Any) -> str:
    if isinstance(value, str) and value.startswith("http://"):
        return "http is accepted for 127.0.0.1, localhost and [::1] only"
    return ""


def redis_url(value: Any) -> Secret:
    """Accept `embedded` or the URL of a Redis; a secret, for it may hold a password."""
    if not isinstance(value, str) or _REDIS(value) is None:
        raise refused(
            "expected embedded, redis://host:port/0, rediss://, unix:///path, "
            "redis+sentinel://host:port,host:port/name or "
            "redis+cluster://host:port,host:port",
            _encoding_hint(value),
        )
    if value != "embedded":
        try:
            parse_redis_url(value)
        except ValueError as error:
            message = f"this Redis URL cannot be used: {error}"
            raise refused(message, _encoding_hint(value)) from None
    return Secret(value)


def _encoding_hint(value: Any) -> str:
    known = isinstance(value, str) and value.startswith(("redis", "unix"))
    return _ENCODE if known and "@" in value else ""


_ENCODE: Final = (
    "in a password percent-encode % as %25, a space as %20, and : / ? # [ ] @ and all "
    "beyond ASCII likewise, or write it as redis.password"
)


def admin_token(value: Any) -> Secret:
    """Accept a token that cannot be guessed and fits into a header."""
    if not isinstance(value, str):
        raise refused("expected text", "put it in quotes")
    if len(value) < _SHORTEST_TOKEN:
        raise refused("the token is too short; use at least 16 characters")
    if _VISIBLE(value) is None:
        raise refused(
            "the token must consist of visible ASCII characters without spaces"
        )
    return Secret(value)


def secret(value: Any) -> Secret:
    """Accept secrets of another program; `compile_profile` checks which are usable."""
    if not isinstance(value, str):
        raise refused("expected text", "put it in quotes")
    return Secret(value)


def password(value: Any) -> Secret:
    """Accept a password of Redis: any text but none."""
    if not isinstance(value, str) or not value:
        raise refused("expected text", "put it in quotes")
    return Secret(value)


def encryption_key(value: Any) -> Secret:
    """Accept 32 bytes in base64, as `openssl rand -base64 32` prints them."""
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise refused(
            "expected 32 bytes in base64", "create a key with: openssl rand -base64 32"
        )
    return Secret(value)


def prefix(value: Any) -> str:
    """Accept the prefix of the names of keys; it may be empty."""
    if not isinstance(value, str) or _PREFIX(value) is None:
        raise expected("printable ASCII, or nothing in quotes")
    return value


def is_local(address: str) -> bool:
    """Whether a legal `listen` is reached from this machine only."""
    place = split_listen(address)
    return not isinstance(place, tuple) or is_loopback(place[0])


def is_loopback(host: str) -> bool:
    """Whether a host is the loopback interface by its very name."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _why_not(value: Any) -> str:
    if not isinstance(value, str) or not value.lower().startswith(
        ("http://", "https://")
    ):
        return "it starts with http:// or https://"
    rest = value.split("://", 1)[1]
    if "@" in rest:
        return "no user name and no password here"
    if any(sign in rest for sign in "/?#"):
        return "no path and no query after the host"
    return ""


def is_host(host: str) -> bool:
    """Whether what looks like an IPv6 address is one."""
    if not host.startswith("["):
        return True
    try:
        IPv6Address(host[1:-1])
    except AddressValueError:
        return False
    return True


_HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_HOST_PORT = re.compile(_HOST + r":(?P<port>[0-9]{1,5})").fullmatch
_ORIGIN = re.compile(
    r"(?i:https?)://" + _HOST + r"(?::(?P<port>[0-9]{1,5}))?/?"
).fullmatch
_PORT = re.compile(r":?[0-9]{1,5}").fullmatch
_UNIX = re.compile(r"unix:/[!-~]{1,99}").fullmatch
_LINK = re.compile(r"(?:/(?![/\\])|https?://)[!-~]*(?<!\\)").fullmatch
_REDIS = re.compile(
    r"embedded|rediss?(?:\+sentinel|\+cluster)?://[!-~]+|unix:(?://[!-~]*)?/[!-~]+"
).fullmatch
_PREFIX = re.compile(r"[ -~]{0,128}").fullmatch
_VISIBLE = re.compile(r"[!-~]{16,1024}").fullmatch
_LAST_PORT: Final = 65535
_KEY_BYTES: Final = 32
_SHORTEST_TOKEN: Final = 16


# --- text and files


def text(value: Any) -> str:
    """Accept one line of text that is not empty."""
    if not isinstance(value, str):
        raise expected("text", "put it in quotes" if _is_scalar(value) else "")
    if not value or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise expected("one line of text")
    return value


def file_path(value: Any, info: ValidationInfo) -> str:
    """Accept a path; one that is not absolute starts at the configuration's folder."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise expected("a path")
    folder = (info.context or {}).get("folder")
    return str(Path(folder) / value) if folder is not None else value


def keys_place(value: Any, info: ValidationInfo) -> str:
    """Accept `embedded` or a folder."""
    return "embedded" if value == "embedded" else file_path(value, info)


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, (tuple, Mapping))


_LONGEST_TEXT: Final = 2048
