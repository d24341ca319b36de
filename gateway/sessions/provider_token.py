"""Access tokens that a provider issued (JWT, RFC 9068), as the credential of a request.

| noun | meaning |
| --- | --- |
| ProviderToken | the secret of a request; nothing of it is verified yet |
| TokenFacts | what ends a verified token before it expires |
| TokenEnds | protocol of the store of such ends |
| Rejected | the result of a look-up: not a valid token |
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Protocol

import orjson

from gateway.http import base64url
from gateway.http.authorization import CredentialKind
from gateway.reasons import Reason
from gateway.sessions.provider_link import ProviderLink

LONGEST: Final = 16 * 1024
"""Characters of a token: with some hundred groups it has about 8 KiB."""
KEY_PREFIX: Final = "jwt:"
"""No key of a session record has it."""
EVERY_TOKEN: Final = f"{KEY_PREFIX}*"
"""The key in the notification of an end that may be that of any token."""
LONGEST_LIFE: Final = 7 * 86_400.0
"""Seconds. The end of an identity is kept for so long, and no token lives longer."""
ACCEPTED_BY: Final = "accepted_by"
"""The member of a token's session that names the provider whose settings accepted it."""
LEEWAY: Final = 60.0
"""Seconds by which the clocks of the provider and the gateway may differ."""


@dataclass(frozen=True, slots=True, eq=False)
class ProviderToken:
    """A JWT that names a known issuer. `key` is what stores and logs may know of it.

    The key is that of what was signed. A signature can be written in several ways, and of
    an ECDSA signature anyone can make another: a token that was ended stays ended.
    """

    value: str = field(repr=False)
    issuer: str
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        digest = sha256(self.value.rpartition(".")[0].encode()).hexdigest()
        object.__setattr__(self, "key", KEY_PREFIX + digest)

    @property
    def digest(self) -> str:
        """Hash of all that was sent: two signatures of the same claims are two guesses."""
        return sha256(self.value.encode()).hexdigest()

    @property
    def kind(self) -> CredentialKind:
        """How it is sent; never as a password."""
        return CredentialKind.BEARER

    @property
    def fingerprint(self) -> str:
        """A short name for logs; it finds nothing and opens nothing."""
        return self.key.removeprefix(KEY_PREFIX)[:12]

    def __str__(self) -> str:
        return f"ProviderToken({self.fingerprint})"

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not a valid token. `detail` is for the log: it names the rule, never the token."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """What the ends of a verified token are kept under.

    issued_at  `iat`, by the provider's clock
    """

    key: str
    identity_id: str
    link: ProviderLink
    issued_at: float


class TokenEnds(Protocol):
    """Ends of tokens that have not expired; one place for all processes.

    Every method may raise StoreUnavailable. A method that ends tokens returns when that
    is durable, and notifies the watchers of the session store with EVERY_TOKEN.
    """

    async def end_token(self, key: str, seconds: float) -> None:
        """End one token, which expires within `seconds`."""
        ...

    async def end_identity(self, identity_id: str, now: float) -> None:
        """End every token of an identity that was issued until `now`."""
        ...

    async def has_ended(self, facts: TokenFacts) -> bool:
        """Return whether a token was ended, by the gateway or by its provider."""
        ...


def read_provider_token(text: str, issuers: Collection[str]) -> ProviderToken | None:
    """Return the token that a client sent; None if it is not a JWT of these issuers.

    The issuer is read to choose the provider. Its keys decide, and only what they signed
    is searched for members that are there twice: that costs more than the signature.
    """
    if len(text) > LONGEST or text.count(".") != 2:
        return None
    try:
        claims = orjson.loads(base64url.decode(text.split(".")[1]))
    except ValueError:
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    if not isinstance(issuer, str) or issuer not in issuers:
        return None
    return ProviderToken(text, issuer)
