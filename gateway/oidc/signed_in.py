"""The result of a sign-in, and whether it is the one that was needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.oidc.attempt import Attempt
from gateway.oidc.failure import SignInFailed
from gateway.oidc.id_token import LEEWAY
from gateway.oidc.person import Person
from gateway.oidc.renewal import Renewal
from gateway.oidc.token import Tokens
from gateway.reasons import Reason

_METHODS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A person whom the provider signed in.

    authenticated_at  seconds since the epoch; 0.0 if the provider does not state it
    provider          what the session record keeps of the provider
    renewal           how its membership is renewed; None: it is not
    tokens            with the access token, if it is kept
    """

    person: Person
    methods: tuple[str, ...]
    aal: str
    authenticated_at: float
    provider: Mapping[str, Any]
    renewal: Renewal | None = None
    id_token: str = field(default="", repr=False)
    tokens: Tokens | None = None


def check_step(attempt: Attempt, auth_time: float | None, level: str) -> None:
    """Refuse a step-up that the ID token does not prove; parameters prove nothing.

    Raises:
        SignInFailed: no fresh `auth_time`, or an `acr` that is not enough.
    """
    if attempt.step == "none":
        return
    if auth_time is None:
        raise SignInFailed(Reason.STEP_UP_FAILED, "step-up: no auth_time")
    if auth_time < attempt.began - LEEWAY:
        raise SignInFailed(Reason.STEP_UP_FAILED, "step-up: auth_time is too old")
    if attempt.step == "aal" and level == "aal1":
        raise SignInFailed(Reason.STEP_UP_FAILED, "step-up: acr is not enough")


def methods_of(amr: object) -> list[str]:
    """Return the authentication methods (RFC 8176) that are plain words."""
    if not isinstance(amr, list):
        return []
    words = [word for word in amr if isinstance(word, str) and word.isprintable()]
    return [word[:64] for word in words if word][:_METHODS]
