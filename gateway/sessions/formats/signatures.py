"""Signatures of session IDs, in the format of each library.

A signature is recomputed and compared as text, in constant time. What a decoder
would also take (other alphabets, more or less padding, spare bits that are set)
is refused: no library emits it, and one id keeps one spelling.
"""

import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

# What libraries, their documentation and their templates ship with: anyone who reads
# those can sign. Compared in lower case.
PUBLIC_SECRETS: Final = frozenset(
    (
        "better-auth-secret-123456789",
        "better-auth-secret-12345678901234567890",
        "better-auth-secret",
        "your-better-auth-secret",
        "your-super-secret-key",
        "your-secret-key",
        "your_secret_key",
        "your secret key",
        "your-secret-here",
        "your-secret",
        "keyboard cat",
        "keyboardcat",
        "shhhh, very secret",
        "my-secret",
        "my-secret-key",
        "mysecret",
        "my secret",
        "super secret",
        "super-secret",
        "supersecret",
        "super secret key",
        "super-secret-key",
        "supersecretkey",
        "secret key",
        "secret-key",
        "secret_key",
        "secretkey",
        "a secret key",
        "change-me",
        "change me",
        "change_me",
        "changeme",
        "changethis",
        "change-this",
        "password",
        # the keys in Flask's tutorial and quick start
        '_5#y2l"f4q8z\\n\\xec]/',
        '_5#y2l"f4q8z\n\xec]/',
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    )
)
# Eight characters are guessed off line in minutes; libraries themselves ask for 32.
SHORTEST_SECRET: Final = 8


Sign: TypeAlias = Callable[[bytes], bytes]


class Signature(StrEnum):
    """How the id in the cookie is signed."""

    NONE = "none"
    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA256_UNPADDED = "hmac-sha256-unpadded"
    EXPRESS = "express"
    ITSDANGEROUS = "itsdangerous"


@dataclass(frozen=True, slots=True)
class BadSignature:
    """The cookie has an invalid signature or none."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Takes the id out of a signed cookie value."""

    signature: Signature
    _prefix: str
    _signers: tuple[Sign, ...] = field(repr=False)

    def open(self, value: str) -> str | BadSignature:
        """Return the ID if one of the secrets signed it, otherwise None."""
        if self.signature is Signature.NONE:
            return value
        if not value.startswith(self._prefix):
            return _BAD
        session_id, dot, given = value[len(self._prefix) :].rpartition(".")
        if not dot or not session_id or not value.isascii():
            return _BAD
        data, mac = session_id.encode("ascii"), given.encode("ascii")
        genuine = False
        for sign in self._signers:  # all of them: the duration must not reveal which
            genuine |= hmac.compare_digest(sign(data), mac)
        return session_id if genuine else _BAD


def verifier(signature: Signature, secrets: Sequence[str], *, salt: str) -> Verifier:
    """Compile a check. `salt` is what itsdangerous derives its key with.

    Raises:
        ValueError: a secret is missing, too short, or publicly known.
    """
    if signature is Signature.NONE:
        return Verifier(signature, "", ())
    if not secrets:
        raise ValueError("the session cookie is signed, and no secret is given")
    for secret in secrets:
        check_secret(secret)
    keys = [secret.encode("utf-8") for secret in secrets]
    prefix = "s:" if signature is Signature.EXPRESS else ""
    return Verifier(
        signature, prefix, tuple(_SIGNERS[signature](key, salt) for key in keys)
    )


def check_secret(secret: str) -> None:
    """Raise unless the text can be a secret.

    Raises:
        ValueError: the message states why, and never quotes it.
    """
    if not secret:
        raise ValueError("the secret is empty")
    if secret.strip().lower() in PUBLIC_SECRETS:
        raise ValueError("the secret is a public default: anyone can sign sessions")
    if len(secret.encode("utf-8", "surrogatepass")) < SHORTEST_SECRET:
        raise ValueError(f"the secret is shorter than {SHORTEST_SECRET} bytes")
    try:
        secret.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("the secret is not valid text") from None


def _hmac_sha256(key: bytes, _salt: str) -> Sign:
    return lambda data: b64encode(hmac.digest(key, data, "sha256"))


def _express(key: bytes, _salt: str) -> Sign:
    return lambda data: b64encode(hmac.digest(key, data, "sha256")).rstrip(b"=")


def _itsdangerous(key: bytes, salt: str) -> Sign:
    # itsdangerous.Signer with key_derivation "hmac": SHA-1 twice. As a MAC it is
    # unbroken, and it is what the application uses.
    derived = hmac.digest(key, salt.encode("utf-8"), "sha1")
    return lambda data: urlsafe_b64encode(hmac.digest(derived, data, "sha1")).rstrip(
        b"="
    )


# Every signature but `none`.
_SIGNERS: Final[Mapping[Signature, Callable[[bytes, str], Sign]]] = {
    Signature.HMAC_SHA256: _hmac_sha256,
    # @fastify/cookie, Remix and other users of cookie-signature without "s:".
    Signature.HMAC_SHA256_UNPADDED: _express,
    Signature.EXPRESS: _express,
    Signature.ITSDANGEROUS: _itsdangerous,
}
_BAD: Final = BadSignature()
