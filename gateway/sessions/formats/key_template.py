"""Templates of Redis keys: literal text around one placeholder."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.sessions.formats.paths import Path, parse_path

# The gateway's own records; a profile that could name one would let a cookie forge it.
_OURS: Final = "gateway:"
_MAX_LITERAL: Final = 128


@dataclass(frozen=True, slots=True)
class IdKey:
    """The key of a session: `{id}`, or `{sha256:id}` where the library hashes it."""

    before: str
    after: str
    hashed: bool

    def of(self, session_id: str, digest: str) -> str:
        """Return the key; `digest` is the hex SHA-256 of the ID."""
        return f"{self.before}{digest if self.hashed else session_id}{self.after}"

    def id_in(self, key: str) -> str | None:
        """Return the ID, or its hash, from a key; None if the key does not match."""
        middle = key.removeprefix(self.before).removesuffix(self.after)
        return middle if key == f"{self.before}{middle}{self.after}" else None


@dataclass(frozen=True, slots=True)
class PathKey:
    """A key that is named by a value in the session: `user:{$.userId}`."""

    before: str
    after: str
    path: Path

    def of(self, value: str) -> str:
        """Return the key."""
        return f"{self.before}{value}{self.after}"


def parse_id_key(text: str, *, prefix: str) -> IdKey:
    """Read the key template of sessions.

    Raises:
        ValueError: it has no place for the id, or could name the gateway's keys.
    """
    before, place, after = _split(text, prefix)
    if place not in ("id", "sha256:id"):
        raise ValueError("the key needs one {id}, or {sha256:id}")
    return IdKey(before, after, place != "id")


def parse_path_key(text: str, *, prefix: str) -> PathKey:
    """Read the key template of the second look-up.

    Raises:
        ValueError: it names no path, or could name the gateway's keys.
    """
    before, place, after = _split(text, prefix)
    if not place.startswith("$."):
        raise ValueError("the key needs one path, such as {$.userId}")
    return PathKey(before, after, parse_path(place))


def acl_pattern(key: IdKey | PathKey) -> str:
    """Return the Redis ACL rule that allows reading exactly these keys."""
    return f"%R~{key_pattern(key)}"


def key_pattern(key: IdKey | PathKey) -> str:
    """Return the Redis glob pattern that matches all these keys."""
    before, after = (_GLOB(r"\\\g<0>", part) for part in (key.before, key.after))
    return f"{before}*{after}"


def _split(text: str, prefix: str) -> tuple[str, str, str]:
    found = _TEMPLATE(text.replace("{prefix}", prefix) if "{" not in prefix else "")
    if found is None:
        raise ValueError(
            "expected printable ASCII with one placeholder in braces, such as sess:{id}"
        )
    before, place, after = found.groups()
    if len(before) + len(after) > _MAX_LITERAL:
        raise ValueError(f"the key has more than {_MAX_LITERAL} characters of its own")
    # "gate" + an id that begins with "way:" would do, too.
    if before.startswith(_OURS) or (before and _OURS.startswith(before)):
        raise ValueError("the key could name the gateway's own records")
    return before, place, after


_TEMPLATE = re.compile(r"([!-z|~ ]*)\{([^{}]+)\}([!-z|~ ]*)").fullmatch
_GLOB = re.compile(r"[][*?\\]").sub
