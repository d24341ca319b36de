"""The request target in canonical form.

The routes match byte for byte what the upstream receives. An ambiguous target is
rejected, never repaired. Of the equivalences of RFC 3986, section 6.2.2, only two are
applied, once: escapes of unreserved characters are decoded, hex digits upper-cased.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.http.memo import Memo
from gateway.http.value import value
from gateway.reasons import Reason

OPT_IN: Final = ("%2F", "%5C", "%25", "%23", "%3F", "%3B", ";")
"""Characters and escapes that upstreams interpret differently; a route may allow them."""


@value
class Target:
    """A canonical target; only `parse_target` and `strip_prefix` create one.

    path     starts with "/"
    query    as received, without "?"; None if there is none
    escapes  members of OPT_IN in the path, to be checked against `path_allows`
    """

    path: str
    query: str | None
    escapes: frozenset[str]

    @property
    def raw(self) -> str:
        """The target as it is forwarded."""
        return self.path if self.query is None else f"{self.path}?{self.query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadTarget:
    """A rejected target. `detail` is what is wrong; it never quotes the target."""

    reason: Reason
    detail: str


def parse_target(raw: str) -> Target | BadTarget:
    """Parse a request target in origin-form (RFC 9112, section 3.2.1)."""
    return TARGETS[raw]


def _parse(raw: str) -> Target | BadTarget:
    plain = _PLAIN(raw)
    if plain is not None and raw[:1] == "/":
        path, query = plain.groups()
        return Target(path=path, query=query, escapes=_NONE)
    return _parse_odd(raw)


def strip_prefix(target: Target, prefix: str) -> Target | BadTarget:
    """Return the target without a prefix of whole segments, validated again.

    Without "/api", "/api/x" is "/x" and "/api" is "/"; "/apix" is unchanged.
    """
    wanted = prefix.strip("/")
    if not wanted:
        return target
    depth = wanted.count("/") + 1
    segments = target.path.split("/")[1:]
    head = "/".join(segments[:depth])
    if head != wanted and ("%" not in head or segment_key(head) != segment_key(wanted)):
        return target
    rest = "/" + "/".join(segments[depth:])
    query = target.query
    return parse_target(rest if query is None else f"{rest}?{query}")


def segment_key(text: str) -> str:
    """Return a canonical path or segment decoded once, as most applications do.

    Routes compare this, so "/%40me" matches as "/@me". Text that is not UTF-8, which
    no Target contains, is returned unchanged.
    """
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text


_NONE: Final[frozenset[str]] = frozenset()
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_AMBIGUOUS: Final = frozenset(rb"/\%#?;")
_HEX: Final = frozenset("0123456789abcdefABCDEF")

# Segments of unreserved characters that do not start with a dot, then a query of
# printable ASCII without "#": the form of most requests.
_PLAIN: Final = re.compile(
    r"((?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*+)*+/?+)(?:\?([!\"$-~]*+))?+"
).fullmatch
_PRINTABLE: Final = re.compile(r"[!-~]+").fullmatch
_SEPARATOR: Final = re.compile(rb"[/\\]")
_TAIL: Final = re.compile(rb"[;?#]")
_DOTS: Final = frozenset((b".", b".."))
# No legitimate client encodes more often; each layer costs a decoding.
_LAYERS: Final = 5


TARGETS: Final = Memo(_parse, entries=2048, longest=256)
"""What `parse_target` returns, by the target as it was received."""


def _parse_odd(raw: str) -> Target | BadTarget:
    if not raw.startswith("/"):
        return _bad("the target is not in origin-form")
    if _PRINTABLE(raw) is None:
        return _bad("the target has bytes that are not printable ASCII")
    if "#" in raw:
        return _bad("the target has a fragment")
    path, mark, query = raw.partition("?")
    if "\\" in path:
        return _bad("the path has a backslash")
    if "//" in path:
        return _bad("the path has an empty segment")
    escapes = {";"} if ";" in path else set()
    if "%" in path:
        decoded = _decode_unreserved(path, escapes)
        if decoded is None:
            return _bad("the path has an escape that is malformed or a control")
        path = decoded
        if not _is_utf8(path):
            return _bad("the path has escapes that are not UTF-8")
    if _has_dot_segment(path):
        return _bad("the path has a dot segment")
    return Target(path=path, query=query if mark else None, escapes=frozenset(escapes))


def _decode_unreserved(path: str, escapes: set[str]) -> str | None:
    first, *pieces = path.split("%")
    out = [first]
    for piece in pieces:
        digits = piece[:2]
        if len(digits) != 2 or not _HEX.issuperset(digits):
            return None
        byte = int(digits, 16)
        if byte < 0x20 or byte == 0x7F:
            return None
        if byte in _UNRESERVED:
            out += (chr(byte), piece[2:])
            continue
        escape = "%" + digits.upper()
        if byte in _AMBIGUOUS:
            escapes.add(escape)
        out += (escape, piece[2:])
    return "".join(out)


def _is_utf8(path: str) -> bool:
    # Overlong forms such as %C0%AE are dots to some decoders.
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_dot_segment(path: str) -> bool:
    """Return whether an upstream could find "." or ".." in the path after decoding."""
    layer = path.encode()
    for _ in range(_LAYERS):
        for segment in _SEPARATOR.split(layer):
            if segment[:1] == b"." and _TAIL.split(segment, 1)[0] in _DOTS:
                return True
        outer, layer = layer, unquote_to_bytes(layer)
        if layer == outer:
            return False
    return True


def _bad(detail: str) -> BadTarget:
    return BadTarget(reason=Reason.BAD_TARGET, detail=detail)
