"""Profile of one library's session format, interpreted by the engine.

A profile holds no code of its own. profiles.py has each library's in the terms that a
configuration uses for a custom format; compile_profile.py compiles both into this. If a Profile exists, its parts have been checked.
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.sessions.formats.codecs import Codec
from gateway.sessions.formats.id_pattern import IdPattern
from gateway.sessions.formats.key_template import IdKey, PathKey, acl_pattern
from gateway.sessions.formats.paths import ABSENT, FallbackPaths, Path
from gateway.sessions.formats.signatures import Verifier
from gateway.sessions.timestamps import LATEST, parse_timestamp


class CookieValue(StrEnum):
    """How the cookie's value is written on the wire."""

    PLAIN = "plain"
    PERCENT = "percent"
    BASE64 = "base64"


class Unit(StrEnum):
    """What a time in a record is written in."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    ISO = "iso"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeField:
    """A time in the record, and seconds to add to it."""

    path: Path
    unit: Unit
    plus: float = 0.0

    def find(self, record: object, then: object = ABSENT) -> float | None:
        """Return the time in seconds since the epoch, or None."""
        value = self.path.find(record, then)
        if self.unit is Unit.ISO:
            moment = parse_timestamp(value) if isinstance(value, str) else None
        elif isinstance(value, int | float) and not isinstance(value, bool):
            # Compared before it is divided: an int may be too large for a float.
            highest = LATEST * (1000 if self.unit is Unit.MILLISECONDS else 1)
            moment = None
            if 0 <= value <= highest:
                moment = value / 1000 if self.unit is Unit.MILLISECONDS else value
        else:
            moment = None
        return None if moment is None else min(moment + self.plus, LATEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """A second record, found by a value in the first.

    The value in the key has to match `id`, and `echo`, a path into the second record,
    has to hold the same. Without a `required` one the request is unauthenticated.
    """

    key: PathKey
    id: IdPattern
    echo: Path | None
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one library's sessions are found, read and judged."""

    format: str

    # the cookie
    cookie_name: bytes
    cookie_value: CookieValue
    verifier: Verifier
    id: IdPattern

    # the value
    key: IdKey
    echo: Path | None
    then: Then | None
    codecs: frozenset[Codec]
    max_bytes: int

    # its content
    identity: FallbackPaths
    traits: tuple[tuple[str, FallbackPaths], ...]
    roles: FallbackPaths
    tenants: FallbackPaths
    active_tenant: FallbackPaths
    ip_address: FallbackPaths
    user_agent: FallbackPaths
    deny: tuple[Path, ...]

    # its lifetime; `expires` None: as long as the key does
    expires: TimeField | None
    created: TimeField | None
    allow_no_ttl: bool

    # headers, folded, by which the library would take another session than the cookie's
    other_credentials: frozenset[bytes]

    def acl(self) -> tuple[str, ...]:
        """Return the ACL key rules that the gateway's Redis user needs."""
        keys = (self.key,) if self.then is None else (self.key, self.then.key)
        return tuple(acl_pattern(key) for key in keys)
