"""Read the session cookie of another library down to the ID. Pure."""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, assert_never
from urllib.parse import unquote_to_bytes

from gateway.http.headers import normalize_name
from gateway.reasons import Reason
from gateway.sessions.cookie import Malformed, NoCookie
from gateway.sessions.formats.profile import CookieValue, Profile
from gateway.sessions.formats.signatures import BadSignature

# The longest genuine one has a 256-character id and a signature, percent-encoded.
MAX_COOKIE_VALUE: Final = 1024
PUBLIC_ID_CHARS: Final = 64


def is_public_id(text: str) -> bool:
    """Return whether `text` has the form of a public ID: a hex SHA-256."""
    return len(text) == PUBLIC_ID_CHARS and not text.strip("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Credential:
    """A session id that may be asked for, and the profile that it was read by.

    The id is a secret, and with most libraries so is the key in Redis. `key`, the
    hex SHA-256 of the id, is what logs, tombstones and the session's public id use.
    """

    value: str = field(repr=False)
    key: str
    record_key: str = field(repr=False)
    profile: Profile = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """A short name for logs; it finds nothing and opens nothing."""
        return self.key[:12]

    def __str__(self) -> str:
        return f"Credential({self.fingerprint})"

    __repr__ = __str__


def read_credential(
    profile: Profile, cookie_fields: Sequence[bytes]
) -> Credential | NoCookie | Malformed:
    """Find the one session id among all Cookie fields of a request.

    Malformed, with `bad_signature` where the library's secret has not signed it:
    the cookie comes twice, in a way that parsers disagree about, is encoded
    wrongly, or cannot be an id of this library.
    """
    name = profile.cookie_name
    if not any(name in cookie_field for cookie_field in cookie_fields):
        return _NO_COOKIE
    found = _find(name, cookie_fields)
    if not isinstance(found, bytes):
        return found
    text = _decoded(found, profile.cookie_value)
    if text is None:
        return _ENCODING
    session_id = profile.verifier.open(text)
    if isinstance(session_id, BadSignature):
        return _UNSIGNED
    return credential_of_id(profile, session_id) or _SHAPE


def credential_of_id(profile: Profile, session_id: str) -> Credential | None:
    """Make the credential of a bare session id; None where it cannot be one.

    For ids that were taken out of a signed cookie, or that an operator names.
    """
    if not profile.id.matches(session_id):
        return None
    digest = sha256(session_id.encode("ascii")).hexdigest()
    return Credential(
        value=session_id,
        key=digest,
        record_key=profile.key.of(session_id, digest),
        profile=profile,
    )


def credential_of_hash(profile: Profile, digest: str) -> Credential | None:
    """Make the credential of a session's public id, where the library hashes ids too.

    No client can present it: the id itself is not known.
    """
    if not profile.key.hashed:
        return None
    return Credential(
        value="", key=digest, record_key=profile.key.of("", digest), profile=profile
    )


def other_credential(
    profile: Profile, headers: Sequence[tuple[bytes, bytes]]
) -> bytes | None:
    """Return a header that would override the cookie upstream, or None.

    The library would then answer for another session than the one judged here.
    """
    if profile.other_credentials:
        for name, _ in headers:
            normalized = normalize_name(name)
            if normalized in profile.other_credentials:
                return normalized
    return None


def _find(name: bytes, cookie_fields: Sequence[bytes]) -> bytes | NoCookie | Malformed:
    found: bytes | None = None
    for cookie_field in cookie_fields:
        for pair in cookie_field.split(b";"):
            key, equals, value = pair.strip(b" \t").partition(b"=")
            if key.rstrip(b" \t") == name and equals:
                if found is not None:
                    return _TWICE
                found = value.lstrip(b" \t")
                if _elsewhere(name, value):
                    return _TWICE
            # Some parsers (aiohttp's, Python's) end a pair at white space, or at
            # a comma: they would see a session where this one sees none.
            elif _elsewhere(name, pair):
                return _TWICE
    return _NO_COOKIE if found is None else found


def _elsewhere(name: bytes, text: bytes) -> bool:
    at = text.find(name)
    while at >= 0:
        before = text[at - 1 : at].strip(b" \t,") if at else b""
        behind = text[at + len(name) :].lstrip(b" \t")
        if not before and behind.startswith(b"="):
            return True
        at = text.find(name, at + 1)
    return False


def _decoded(value: bytes, how: CookieValue) -> str | None:
    if not 0 < len(value) <= MAX_COOKIE_VALUE:
        return None
    match how:
        case CookieValue.PLAIN:
            pass
        case CookieValue.PERCENT:
            if _BAD_ESCAPE(value):
                return None
            value = unquote_to_bytes(value)
        case CookieValue.BASE64:
            decoded = _base64(value)
            if decoded is None:
                return None
            value = decoded
        case _:
            assert_never(how)
    return value.decode("ascii") if value.isascii() else None


def _base64(value: bytes) -> bytes | None:
    """Decode either alphabet, padded or not; spare bits are zero (RFC 4648, 3.5)."""
    standard = value.rstrip(b"=").translate(_URLSAFE)
    padded = standard + b"=" * (-len(standard) % 4)
    try:
        decoded = b64decode(padded, validate=True)
    except ValueError:
        return None
    return decoded if b64encode(decoded) == padded else None


_NO_COOKIE: Final = NoCookie()
_TWICE: Final = Malformed(
    detail="more than one session cookie, or one that parsers read differently",
    twice=True,
)
_ENCODING: Final = Malformed(detail="not encoded as the library encodes it")
_SHAPE: Final = Malformed(detail="not an id of this library")
_UNSIGNED: Final = Malformed(
    reason=Reason.BAD_SIGNATURE, detail="not signed with one of the secrets"
)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_URLSAFE: Final = bytes.maketrans(b"-_", b"+/")
