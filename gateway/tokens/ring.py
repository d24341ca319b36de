"""Key ring: which key signs, which are published, which can be retired. Pure.

A new key is published before it signs, so that a verifier whose copy of the key
set is JWKS_MAX_AGE old knows it by the time it meets it. An old key stays published
until the last token that it signed has expired. Both follow from the times in the ring
and from `now`; nothing is remembered elsewhere.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TypeAlias, assert_never

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.interval import Interval

PrivateKey: TypeAlias = (
    EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey | bytes
)

JWKS_MAX_AGE = 300
"""Seconds for which a verifier may keep its copy of the key set."""

PUBLICATION_DELAY = 2.0 * JWKS_MAX_AGE
"""Seconds from a key's publication to its first signature. Once JWKS_MAX_AGE for
the verifiers' copies, once more for replicas that reload late and clocks that
disagree."""

CLOCK_LEEWAY = 60.0
"""Seconds past `exp` for which verifiers commonly still take a token: PostgREST
allows 30, Envoy 60."""


class Algorithm(StrEnum):
    """How tokens are signed (RFC 7518 section 3.1, RFC 8037 section 3.1)."""

    ES256 = "ES256"
    EDDSA = "EdDSA"
    RS256 = "RS256"
    HS256 = "HS256"


class KeyState(StrEnum):
    """What a key does at a given moment."""

    SIGNING = "signing"
    NEXT = "next"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key. `kid` is its RFC 7638 thumbprint.

    `public_jwk` is None for a secret that verifiers share (HS256): it has no public
    half. `published` is since when verifiers could have seen the key; both times are
    epoch seconds.
    """

    kid: str
    algorithm: Algorithm
    private: PrivateKey = field(repr=False, compare=False)
    public_jwk: dict[str, str] | None
    created: float
    published: float


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys, youngest first; at least one of them is of `algorithm`.

    Keys of another algorithm are published and never sign: that is how one changes
    the algorithm without a refused request.
    """

    keys: tuple[SigningKey, ...]
    algorithm: Algorithm
    _turns: tuple[tuple[float, SigningKey], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        ordered = sorted(self.keys, key=lambda key: (key.created, key.kid))
        keys = tuple(reversed(ordered))
        turns = [(signs_from(k), k) for k in keys if k.algorithm is self.algorithm]
        if not turns:
            message = f"the ring holds no {self.algorithm} key"
            raise ValueError(message)
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "_turns", tuple(turns))

    def signing(self, now: float) -> SigningKey:
        """Return the youngest key that verifiers have had time to learn.

        When there is none (a first start), the one that was published first signs:
        its successors wait as they always do.
        """
        for since, key in self._turns:
            if now >= since:
                return key
        _, first = min(self._turns, key=lambda turn: (turn[0], turn[1].created))
        return first

    def unchanged(self, now: float) -> Interval:
        """Return the times around `now` at which the same key signs."""
        turns = [since for since, _ in self._turns]
        return Interval(
            max((since for since in turns if since <= now), default=-inf),
            min((since for since in turns if since > now), default=inf),
        )

    def state(self, kid: str, now: float) -> KeyState:
        """Return the state of the key at `now`; raise KeyError if it is unknown."""
        key = self.find(kid)
        if key is None:
            raise KeyError(kid)
        signing = self.signing(now)
        if key.kid == signing.kid:
            return KeyState.SIGNING
        if key.algorithm is self.algorithm and now < signs_from(key):
            return KeyState.NEXT
        return KeyState.PUBLISHED

    def find(self, kid: str) -> SigningKey | None:
        """Return the key of that id, if the ring holds it."""
        return next((key for key in self.keys if key.kid == kid), None)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK set (RFC 7517 section 5) of all public halves."""
        return {"keys": [dict(key.public_jwk) for key in self.keys if key.public_jwk]}


def signs_from(key: SigningKey) -> float:
    """Return from when the key may sign if there is an older one."""
    return key.published + PUBLICATION_DELAY


@dataclass(frozen=True, slots=True)
class Retirable:
    """No living token needs the key."""


@dataclass(frozen=True, slots=True)
class NotYetRetirable:
    """The key no longer signs; its tokens may live until `safe_at` (epoch seconds)."""

    safe_at: float


@dataclass(frozen=True, slots=True)
class InUse:
    """The key signs. `until`: when a younger one takes over; None: there is none."""

    until: float | None


@dataclass(frozen=True, slots=True)
class NotYetInUse:
    """The key is published and signs later; by a clock further ahead, already now."""


@dataclass(frozen=True, slots=True)
class OnlyKey:
    """Without the key nothing could be signed."""


@dataclass(frozen=True, slots=True)
class ClockBehind:
    """A key was made later than `now`: this clock cannot determine which key signs."""


Retirement: TypeAlias = (
    Retirable | NotYetRetirable | InUse | NotYetInUse | OnlyKey | ClockBehind
)


def plan_retirement(
    ring: KeyRing, kid: str, *, now: float, lifetime: float
) -> Retirement:
    """Decide whether a key may leave the ring; pure.

    Retirable only if the key does not sign and its last token has expired. A clock
    that was set back calls the signing key one that waits, so those stay too.

    Args:
        ring: the ring as it is; KeyError when it does not hold `kid`.
        kid: the key that is to go.
        now: epoch seconds.
        lifetime: seconds that a token lives.
    """
    key = ring.find(kid)
    if key is None:
        raise KeyError(kid)
    mine = [other for other in ring.keys if other.algorithm is ring.algorithm]
    if mine == [key]:
        return OnlyKey()
    if any(other.created > now + CLOCK_LEEWAY for other in ring.keys):
        return ClockBehind()
    if key.algorithm is not ring.algorithm:
        # When the configuration changed to the new algorithm is not recorded. It was
        # not before its first key existed, and that key too is published first.
        successors = mine
    else:
        successors = mine[: mine.index(key)]
        match ring.state(kid, now):
            case KeyState.SIGNING:
                return InUse(until=min(map(signs_from, successors), default=None))
            case KeyState.NEXT:
                return NotYetInUse()
            case KeyState.PUBLISHED:
                pass
            case never:
                assert_never(never)
    safe_at = min(map(signs_from, successors)) + lifetime + CLOCK_LEEWAY
    return Retirable() if now >= safe_at else NotYetRetirable(safe_at)
