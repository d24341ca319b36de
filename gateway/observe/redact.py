"""Masks secrets in the gateway log; a second line of defense.

The first: types that hold a secret hide it in `repr`, and `EndedRequest` has no field
for one. Here the remaining values are searched for known secrets and for patterns of
secrets. The gateway log has few lines, so this may be slow; access and audit lines
have closed sets of fields and are not searched.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from structlog.typing import EventDict

MASK: Final = "[redacted]"

# Substrings of keys whose values are always masked.
_SECRET_KEYS: Final = (
    "authorization", "cookie", "credential", "passwd", "password", "private", "secret",
    "jwt", "assertion", "session_token", "access_token", "admin_token",
)  # fmt: skip
# Keys of public values that may look like a token.
_PUBLIC_KEYS: Final = frozenset({"kid", "fingerprint"})

_FORMS: Final = re.compile(
    r"""
      (?P<kept>(?i:\bbearer\s+ | \bauthorization["']?\s*[:=]\s*b?["']?\w+\s+))[^\s"',]+
    | (?P<name>(?i:\b(?:set-)?cookie["']?\s*[:=,]))[^\r\n]+
    | (?P<user>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?\#'"]*@        # user and password
    | eyJ[A-Za-z0-9_=-]{4,}(?:\.[A-Za-z0-9_=-]*){0,4}         # a JWT or JWE
    # 256 bits in base64url, or a longer run with them inside; 64 hex digits are
    # the hash of such, and words without digits or capitals are names.
    | (?<![\w-])(?![0-9a-f]{64}(?![\w-]))(?=[a-z_-]*[A-Z0-9])[A-Za-z0-9_-]{43,}
    | -----BEGIN[^-]*PRIVATE[ ]KEY-----(?s:.*?)(?:-----END[^-]*-----|\Z)
    """,
    re.VERBOSE,
)
_DEPTH: Final = 6
_SHORTEST_SECRET: Final = 6  # masking shorter ones would mask words


class Redactor:
    """Masks secrets in events; a structlog processor.

    `secrets` are known values, such as the admin token and the Redis password.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Add secrets, for example those of a reloaded configuration."""
        self._secrets |= {one for one in secrets if len(one) >= _SHORTEST_SECRET}
        known = sorted(self._secrets, key=len, reverse=True)
        pattern = "|".join(re.escape(secret) for secret in known)
        self._known = re.compile(pattern) if pattern else None

    def __call__(self, _logger: Any, _name: str, event: EventDict) -> EventDict:
        """Return the event with every value masked."""
        return {key: self._masked(key, value, _DEPTH) for key, value in event.items()}

    def text(self, text: str) -> str:
        """Return the text with known secrets and their patterns masked."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _FORMS.sub(_replacement, text)

    def _masked(self, key: str, value: object, depth: int) -> object:
        name = key.lower()
        if any(word in name for word in _SECRET_KEYS):
            return MASK
        if isinstance(value, str):
            return str(value) if name in _PUBLIC_KEYS else self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth <= 0:
            return MASK
        if isinstance(value, Mapping):
            return {
                self.text(str(inner)): self._masked(str(inner), item, depth - 1)
                for inner, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked(key, item, depth - 1) for item in value]
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(bytes(value).decode("latin-1"))
        return self.text(repr(value))


def _replacement(found: re.Match[str]) -> str:
    if kept := found["kept"] or found["name"]:
        return kept + MASK
    if user := found["user"]:
        return f"{user}{MASK}@"
    return MASK
