"""Text that is never shown, and validators of what is secret."""

import base64
import re
from typing import Any, Final

from gateway.config.diagnostic import refused
from gateway.sessions.redis.url import parse_redis_url


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


_REDIS = re.compile(
    r"embedded|rediss?(?:\+sentinel|\+cluster)?://[!-~]+|unix:(?://[!-~]*)?/[!-~]+"
).fullmatch


_VISIBLE = re.compile(r"[!-~]{16,1024}").fullmatch


_KEY_BYTES: Final = 32


_SHORTEST_TOKEN: Final = 16
