"""Encryption of what is kept of a provider: AES-256-GCM, keys with an ID, rotation.

A sealed text is `<key ID>:<nonce and ciphertext in base64url>`. The first key seals, all
of them open. The associated data bind a text to its use, session and provider: a text
that is moved to another place does not open there.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
"""NIST SP 800-38D, section 8.2: with random nonces a key may seal 2^32 times."""
_LONGEST: Final = 256 * 1024


class NotOpened(Exception):  # noqa: N818 - the caller turns it into a value
    """A sealed text does not open.

    `unknown_key`: its key is not configured here; another process may have it.
    """

    def __init__(self, why: str, *, unknown_key: bool = False) -> None:
        super().__init__(why)
        self.unknown_key = unknown_key


@dataclass(frozen=True, slots=True)
class Vault:
    """The keys by ID, in the order of the configuration; at least one."""

    keys: Mapping[str, bytes] = field(repr=False)

    def seal(self, plain: str, bound_to: str, nonce: bytes) -> str:
        """Return a sealed text; `nonce` is 12 random bytes, `bound_to` not secret."""
        key_id, key = next(iter(self.keys.items()))
        sealed = AESGCM(key).encrypt(nonce, plain.encode(), _bound(key_id, bound_to))
        return f"{key_id}:{base64.urlsafe_b64encode(nonce + sealed).decode('ascii')}"

    def open(self, sealed: str, bound_to: str) -> str:
        """Return the text that was sealed for `bound_to`.

        Raises:
            NotOpened: its key is not configured, it was changed, or it was sealed for
                something else.
        """
        key_id, colon, encoded = sealed.partition(":")
        if not colon or len(sealed) > _LONGEST:
            raise NotOpened("it is not a sealed text")
        key = self.keys.get(key_id)
        if key is None:
            raise NotOpened("its key is not configured", unknown_key=True)
        try:
            raw = base64.urlsafe_b64decode(encoded)
            if base64.urlsafe_b64encode(raw).decode("ascii") != encoded:
                raise NotOpened("it is not a sealed text")
            plain = AESGCM(key).decrypt(
                raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(key_id, bound_to)
            )
            return plain.decode()
        # ValueError: also a nonce that is too short, and bytes that are not UTF-8.
        except (InvalidTag, binascii.Error, ValueError):
            raise NotOpened("it was changed, or is of another place") from None


def _bound(key_id: str, bound_to: str) -> bytes:
    return f"{key_id}\n{bound_to}".encode()
