"""The ID token of a session, kept as `id_token_hint` of a sign-out at the provider.

It is encrypted with a key of the session token, which only the browser has: what Redis
holds shows nothing, and no key has to be configured.
"""

import hmac
from typing import Final

from gateway.oidc.vault import NotOpened, Vault

LONGEST: Final = 4096
"""Characters: it becomes a part of an address, of which servers accept about 8 KiB."""
_LABEL: Final = b"gateway id_token_hint v1"
_USE: Final = "id_token_hint"


def seal_hint(id_token: str, session_token: str, nonce: bytes) -> bytes:
    """Return an ID token as it is stored; `nonce` is 12 random bytes."""
    return _vault(session_token).seal(id_token, _USE, nonce).encode("ascii")


def open_hint(sealed: bytes, session_token: str) -> str | None:
    """Return the ID token; None if it was not sealed with this session token."""
    try:
        return _vault(session_token).open(sealed.decode("ascii", "replace"), _USE)
    except NotOpened:
        return None


def _vault(session_token: str) -> Vault:
    key = hmac.digest(session_token.encode("ascii"), _LABEL, "sha256")
    return Vault({"session": key})
