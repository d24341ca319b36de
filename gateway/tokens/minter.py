"""Issue tokens for a session; reuse each for half of its lifetime.

A token is kept for (session, tenant, record version, profile, key): a change of
role or a rotation shows in the next token, and no tenant ever gets another's.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jwt

from gateway.interval import ALWAYS, Interval
from gateway.tokens.claims import CompiledClaims, claims_for, fits
from gateway.tokens.ring import KeyRing, SigningKey
from gateway.tokens.session_claims import session_claims
from gateway.tokens.subject import Membership, Subject

CACHE_SIZE = 20_000
"""Tokens kept in memory, of about 1 KiB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProfile:
    """What a token says and to whom, and where it is put.

    `needs_tenant`: the claims name the tenant, so a session without one gets no token.
    `admin_roles`: the token describes the session instead (`session_claims`), and these
    roles make an administrator; None: it has `claims`.
    """

    name: str
    audience: str | tuple[str, ...]
    header: str | None
    cookie: str | None
    claims: CompiledClaims
    admin_roles: frozenset[str] | None = None
    lifetime: float | None = None
    """Seconds; None: that of all profiles."""

    @property
    def needs_tenant(self) -> bool:
        """Return whether the token requires a tenant."""
        return self.claims.needs_tenant

    def claims_of(self, session: Subject, tenant: Membership | None) -> dict[str, Any]:
        """Return the claims of a session, without those that every token has."""
        if self.admin_roles is None:
            return claims_for(self.claims, session, tenant)
        return session_claims(session, tenant, self.admin_roles)


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed token.

    signed  it was made for this request
    lasts   when the same token is returned for the same session and tenant
    expires its `exp`, in seconds since the epoch
    """

    token: str = field(repr=False)
    signed: bool
    lasts: Interval
    expires: int = 0


@dataclass(frozen=True, slots=True)
class _Minted:
    reused: Issued
    issued: int
    expires: int


_ReuseKey: TypeAlias = tuple[str, str | None, str, str, tuple[float, ...], str, str]


class Minter:
    """Makes tokens, and remembers the last `cache_size` of them."""

    def __init__(
        self,
        *,
        ring: KeyRing,
        profiles: Mapping[str, TokenProfile],
        issuer: str,
        lifetime: float,
        cache_size: int = CACHE_SIZE,
    ) -> None:
        self.ring = ring
        self.profiles = dict(profiles)
        self._issuer = issuer
        self._lifetime = max(1, int(lifetime))
        self._cache_size = cache_size
        self._minted: OrderedDict[_ReuseKey, _Minted] = OrderedDict()
        self._asked = -1
        self._key = ring.keys[0]
        self._key_lasts = ALWAYS

    def token(
        self,
        profile: str,
        session: Subject,
        tenant: Membership | None,
        now: float,
        jti: str,
    ) -> Issued | None:
        """Return a token of the profile that is valid at `now`, in epoch seconds.

        Returns:
            The token; `jti` is its id if it had to be signed. None if the session
            gets none: the profile has claims of a tenant and there is none, the
            session is not a member of the tenant, the session ends within the second,
            or the identity's id does not fit a token.

        Raises:
            KeyError: there is no such profile.
        """
        wanted = self.profiles[profile]
        if not is_entitled(wanted, session, tenant):
            return None
        key = self._signing(now)
        reuse = (
            session.id,
            tenant.id if tenant else None,
            session.version,
            # A step-up must show at once, whatever the version is made of.
            session.aal,
            _times_of(session) if wanted.claims.shows_times else (),
            profile,
            key.kid,
        )
        known = self._minted.get(reuse)
        if known is not None and _is_fresh(known, session, now):
            self._minted.move_to_end(reuse)
            return known.reused
        issued = int(now)
        lifetime = self._lifetime
        if wanted.lifetime is not None:
            lifetime = max(1, int(wanted.lifetime))
        expires = min(issued + lifetime, int(session.expires_at))
        if expires <= now:
            return None
        claims = wanted.claims_of(session, tenant)
        # Last, so that nothing above can have said any of them.
        claims.update(self._registered(wanted, session, issued, expires), jti=jti)
        token = _sign(claims, key)
        lasts = Interval(issued, (issued + expires) / 2).within(self._key_lasts)
        reused = Issued(token, signed=False, lasts=lasts, expires=expires)
        self._minted[reuse] = _Minted(reused, issued, expires)
        self._minted.move_to_end(reuse)
        if len(self._minted) > self._cache_size:
            self._minted.popitem(last=False)
        return Issued(token, signed=True, lasts=lasts, expires=expires)

    def _registered(
        self, wanted: TokenProfile, session: Subject, issued: int, expires: int
    ) -> dict[str, Any]:
        """Return the claims that RFC 7519, section 4.1 registers, and `sid`."""
        audience = wanted.audience
        return {
            "iss": self._issuer,
            "aud": audience if isinstance(audience, str) else list(audience),
            "sub": session.identity.id,
            "sid": session.id,
            "iat": issued,
            "nbf": issued,
            "exp": expires,
        }

    def _signing(self, now: float) -> SigningKey:
        """Query the ring at most once a second, the precision of a key change."""
        second = int(now)
        if self._asked != second:
            self._asked, self._key = second, self.ring.signing(now)
            self._key_lasts = self.ring.unchanged(now)
        return self._key

    def forget(self) -> None:
        """Drop every token that is kept."""
        self._minted.clear()


def _times_of(session: Subject) -> tuple[float, ...]:
    """Return the values that claims may contain and the version leaves out."""
    return (session.authenticated_at, session.expires_at, float(len(session.methods)))


def is_entitled(
    profile: TokenProfile, session: Subject, tenant: Membership | None
) -> bool:
    """Return whether the session gets a token of the profile at all.

    It does not if the profile has claims of a tenant and there is none, if the
    session is not a member of the tenant, or if the identity's id does not fit a token.
    """
    if tenant is None:
        if profile.needs_tenant:
            return False
    elif tenant.id not in session.tenants:
        return False
    return fits(session.identity.id)


def _sign(claims: dict[str, Any], key: SigningKey) -> str:
    headers = {"kid": key.kid, "typ": "JWT"}
    algorithm = key.algorithm.value
    return jwt.encode(claims, key.private, algorithm=algorithm, headers=headers)


def _is_fresh(minted: _Minted, session: Subject, now: float) -> bool:
    """Return whether at least half of the token's lifetime remains."""
    half = (minted.issued + minted.expires) / 2
    return minted.issued <= now < half and minted.expires <= session.expires_at
