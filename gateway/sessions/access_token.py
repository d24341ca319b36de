"""The access token: a session without a browser, sent in the Authorization field.

    gwt_  43 characters of 0-9 A-Z a-z  6 characters of a checksum

The prefix and the checksum are for scanners of secrets, which find a token in a file
and know, without a request, that it is one. 43 characters of 62 hold 256 bits. The
checksum is the CRC-32 of all that precedes it, in base 62: a token that was cut off or
whose case was changed is refused without a look-up.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from zlib import crc32

from gateway.http.authorization import CredentialKind

PREFIX: Final = "gwt_"
RANDOM_BYTES: Final = 32
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARS: Final = 43
_SUM_CHARS: Final = 6
TOKEN_CHARS: Final = len(PREFIX) + _RANDOM_CHARS + _SUM_CHARS


@dataclass(frozen=True, slots=True, eq=False)
class AccessToken:
    """The secret of a program. `key` is what stores and logs may know of it."""

    value: str = field(repr=False)
    kind: CredentialKind = CredentialKind.BEARER
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", sha256(self.value.encode()).hexdigest())

    @property
    def fingerprint(self) -> str:
        """A short name for logs; it finds nothing and opens nothing."""
        return self.key[:12]

    def __str__(self) -> str:
        return f"AccessToken({self.fingerprint})"

    __repr__ = __str__


def new_access_token(random: bytes) -> AccessToken:
    """Make a token of 32 random bytes; the caller draws them."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"an access token is made of {RANDOM_BYTES} random bytes")
    body = PREFIX + _base62(int.from_bytes(random, "big"), _RANDOM_CHARS)
    return AccessToken(body + _checksum(body))


def read_access_token(text: str, kind: CredentialKind) -> AccessToken | None:
    """Return the token that a client sent; None if the text cannot be one."""
    if (
        len(text) != TOKEN_CHARS
        or not text.startswith(PREFIX)
        or text[len(PREFIX) :].strip(_ALPHABET)
        or _checksum(text[:-_SUM_CHARS]) != text[-_SUM_CHARS:]
    ):
        return None
    return AccessToken(text, kind)


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode()), _SUM_CHARS)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
