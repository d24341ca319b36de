"""Validates every address that a parameter asks to redirect to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from gateway.http.host import DEFAULT_PORTS, Authority, parse_authority
from gateway.http.target import BadTarget, Target, parse_target
from gateway.reasons import Reason


def safe_return_to(
    value: str, *, public_origin: str, allowed: Sequence[str]
) -> str | None:
    """Return the canonical form of a safe address; None if it is not safe.

    Safe are a path ("/a?b"), a URL of `public_origin`, and a URL with the scheme, host
    and port of an entry of `allowed` at or below its path. "https://*.example.com" is
    every host with one label before "example.com".
    """
    if len(value) > _LONGEST:
        return None
    if value.startswith("/"):
        target = _safe_path(value)
        return None if target is None else target.raw
    place = _parse_url(value)
    if place is None:
        return None
    if any(_covers(entry, place) for entry in (public_origin, *allowed)):
        return f"{place.scheme}://{place.authority.text}{place.target.raw}"
    return None


def login_location(
    sign_in_url: str, param: str, target_raw: str, reason: Reason, *, origin: str = ""
) -> str:
    """Return the sign-in URL with the address to return to and the reason.

    `origin` precedes the target if the sign-in page is on another one.
    """
    address, mark, fragment = sign_in_url.partition("#")
    joint = "&" if "?" in address else "?"
    before = quote(origin, safe="/")
    return_address = before + _return_address(target_raw, _LONGEST - len(before))
    return f"{address}{joint}{param}={return_address}&reason={reason.value}{mark}{fragment}"


def _return_address(target_raw: str, longest: int) -> str:
    """Return the target, quoted, in a form that `safe_return_to` accepts.

    The query of a request may hold any address as data ("?url=http://a"). What the
    check rejects in a query is percent-encoded, which changes no value. The query is
    dropped if the sign-in page could not be sent the whole in `longest` bytes.
    """
    path, mark, query = target_raw.partition("?")
    if _SLASHES(query.encode()) or "\\" in query:
        query = query.replace("\\", "%5C").replace("/", "%2F")
    for target in (path + mark + query, path):
        if len(quoted := quote(target, safe="/")) <= longest:
            return quoted
    return "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    scheme: str
    authority: Authority
    target: Target


# The length of a request target that every server accepts.
_LONGEST: Final = 8192
_URL: Final = re.compile(r"([A-Za-z]{4,5})://([^/?#]+)([/?].*)?").fullmatch
# What a lenient parser may read as the start of an authority, and what
# normalizes to it: "//", "/ /", "/../", with either slash.
_SLASHES: Final = re.compile(rb"[/\\](?:[\s\x0b]*|\.{1,2})[/\\]").search
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]").search
# "/https:evil.example" is a path here, and a URL for a parser that drops the slash.
_SCHEME: Final = re.compile(
    rb"/(?:blob|data|file|ftp|https?|javascript|vbscript|wss?):", re.IGNORECASE
).match


def _safe_path(raw: str) -> Target | None:
    target = parse_target(raw)
    if isinstance(target, BadTarget):
        return None
    decoded = unquote_to_bytes(target.path)
    if b"\\" in decoded or _CONTROL(decoded) or _SLASHES(decoded) or _SCHEME(decoded):
        return None
    # The query may contain a percent-encoded address, as data. A literal one is
    # rejected: the page may be the next to redirect to it.
    query = (target.query or "").encode()
    if b"\\" in query or _SLASHES(query):
        return None
    return target


@lru_cache(maxsize=64)  # those of the configuration; clients send 8 KiB
def _parse_url(value: str) -> _Address | None:
    found = _URL(value)
    if found is None:
        return None
    scheme = found[1].lower()
    authority = parse_authority(found[2])
    rest = found[3] or "/"
    target = _safe_path(rest if rest.startswith("/") else f"/{rest}")
    if scheme not in DEFAULT_PORTS or authority is None or target is None:
        return None
    return _Address(scheme=scheme, authority=authority, target=target)


def _covers(entry: str, place: _Address) -> bool:
    known = _parse_url(entry.replace("://*.", "://", 1))
    if known is None:
        return False
    host = place.authority.host
    if "://*." in entry:
        label, _, host = host.partition(".")
        if not label:
            return False
    default = DEFAULT_PORTS[place.scheme]
    if (known.scheme, known.authority.host, known.authority.port or default) != (
        place.scheme,
        host,
        place.authority.port or default,
    ):
        return False
    above = known.target.path.rstrip("/")
    return place.target.path == above or place.target.path.startswith(f"{above}/")
