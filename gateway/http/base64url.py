"""Base64url without padding (RFC 4648, section 5; RFC 7515, appendix C)."""

import base64
import binascii


def encode(raw: bytes) -> str:
    """Return the text of some bytes."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode(text: str | bytes) -> bytes:
    """Return the bytes of a text, with or without its padding.

    "+" and "/" of plain base64 are accepted: apps send both forms.

    Raises:
        ValueError: it has other characters, or a length that no bytes have.
    """
    raw = text.encode("ascii") if isinstance(text, str) else text
    try:
        padded = raw + b"=" * (-len(raw) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
