"""What is audited: one value for each kind of event.

IDs are public, and no field can hold a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.oidc.membership import Change
from gateway.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The identity and client of an event; ids are public, never a token."""

    user_id: str = ""
    tenant_id: str = ""
    session_id: str = ""
    client: str = ""
    user_agent: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """An identity signed in."""

    methods: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOut:
    """A session was ended by its owner; `everywhere`: all of the identity's."""

    everywhere: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSwitched:
    """A session acts for another tenant; `before` is "" if it had none."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInHeaderRefused:
    """An upstream without `may_sign_in` sent a sign-in header."""

    upstream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRefused:
    """A sign-in with a provider ended without a session; `account`: of whom, if known."""

    provider: str
    reason: Reason
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOutByProvider:
    """A provider ended `count` sessions of an identity, by back-channel logout."""

    provider: str
    identity_id: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked:
    """Another session of the identity, or an access token, was ended by its owner."""

    session_id: str
    token_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsRevoked:
    """All other sessions of the identity were ended by their owner."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChanged:
    """An app changed an identity in `count` sessions; `members`: which parts of it."""

    members: Sequence[str]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipChanged:
    """A provider changed roles, traits or tenants of a running session."""

    provider: str
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAtRenewal:
    """A session ended because its membership could not be confirmed."""

    provider: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssued:
    """A page got a token."""

    profile: str


SessionEvent: TypeAlias = MembershipChanged | EndedAtRenewal
"""Events of a session without a request."""

AuditEvent: TypeAlias = (
    SignedIn
    | SignedOut
    | TenantSwitched
    | SignInHeaderRefused
    | SignInRefused
    | SignedOutByProvider
    | SessionRevoked
    | SessionsRevoked
    | IdentityChanged
    | TokenIssued
)
