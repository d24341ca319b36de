"""Host and path patterns of routes.

A pattern is as canonical as the targets that it is compared with; one that no
canonical target could ever equal is reported as an error.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.http.host import parse_authority
from gateway.http.target import BadTarget, parse_target, segment_key


class HostKind(IntEnum):
    """How much a host pattern says; less is more specific."""

    EXACT = 0
    WILDCARD = 1
    ANY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPattern:
    """`name` is the host, or what follows the wildcard label, or ""."""

    kind: HostKind
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPattern:
    """`segments` holds the keys of literals, and None for a {param}.

    `params` maps segments to names; `rest` is the last "/**".
    """

    segments: tuple[str | None, ...]
    params: tuple[tuple[int, str], ...]
    rest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BadPattern:
    """The error in a pattern, and how to fix it."""

    message: str
    hint: str = ""


def parse_host_pattern(text: str | None) -> HostPattern | BadPattern:
    """Read a host: exact, or one wildcard label ("*" or "{name}") before a name."""
    if text is None:
        return HostPattern(kind=HostKind.ANY)
    wildcard = _WILDCARD(text)
    authority = parse_authority(wildcard[1] if wildcard else text)
    if authority is None or authority.port is not None:
        return BadPattern(
            message="the host is not a host name",
            hint="write app.example.com, *.example.com or {tenant}.example.com, no port",
        )
    if wildcard:
        return HostPattern(kind=HostKind.WILDCARD, name=authority.host)
    return HostPattern(kind=HostKind.EXACT, name=authority.host)


def parse_path_pattern(
    text: str, allows: frozenset[str] = frozenset()
) -> PathPattern | BadPattern:
    """Read a path; `allows` are the ambiguous spellings that its route allows."""
    if not text.startswith("/"):
        return BadPattern(message="a path starts with /")
    rest = text.endswith("/**")
    words = text.removesuffix("/**").split("/")[1:]
    if rest and words[-1:] == [""]:
        return BadPattern(message="the path has an empty segment")
    params = [(at, word[1:-1]) for at, word in enumerate(words) if _PARAM(word)]
    names = [name for _, name in params]
    if len(set(names)) != len(names):
        return BadPattern(message="the path names a {segment} twice")
    taken = {at for at, _ in params}
    literals = ["x" if at in taken else word for at, word in enumerate(words)]
    spelled = "/" + "/".join(literals)
    if any(mark in spelled for mark in "*{}?"):
        return BadPattern(
            message="the path has a pattern inside a segment",
            hint="write /** for all below, or {name} for one segment"
            if words[-1] == "*"
            else "write whole segments: literal, {one}, and a last /**",
        )
    target = parse_target(spelled)
    if isinstance(target, BadTarget):
        return BadPattern(message=f"no request can have this path: {target.detail}")
    if not target.escapes <= allows:
        return BadPattern(
            message="no request can have this path: it is refused as ambiguous",
            hint=f"path_allows would have to name {', '.join(sorted(target.escapes))}",
        )
    keys = [segment_key(word) for word in target.path.split("/")[1:]]
    if not words:
        keys = []
    return PathPattern(
        segments=tuple(None if at in taken else key for at, key in enumerate(keys)),
        params=tuple(params),
        rest=rest,
    )


_WILDCARD: Final = re.compile(r"(?:\*|\{[A-Za-z_][A-Za-z0-9_]*\})\.(.+)").fullmatch
_PARAM: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}").fullmatch
