"""The session that a verified access token stands for."""

from typing import Any

import pytest

from gateway.oidc.bearer_session import bearer_session
from gateway.oidc.claims import parse_claim_text
from gateway.oidc.failure import SignInFailed
from gateway.oidc.settings import Allow, PersonRules
from gateway.reasons import Reason
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    LifetimePolicy,
    authenticate_token,
    touch,
    unchanged,
)
from gateway.sessions.provider_token import ProviderToken
from tests.oidc.settings import provider_settings_of

NOW = 1_800_000_000.0
TOKEN = ProviderToken("a.b.c", "https://id.example.com")
CLAIMS: dict[str, Any] = {
    "sub": "job-7",
    "azp": "nightly",
    "iat": NOW,
    "exp": NOW + 300,
    "sid": "x",
    "groups": ["staff"],
    "org": {"o_1": {"name": "One", "role": "owner"}},
}
RULES = PersonRules(
    id=parse_claim_text("acme:{sub}"),
    traits={},
    roles=parse_claim_text("{groups}"),
    tenants=parse_claim_text("{org}"),
)
POLICY = LifetimePolicy(lifespan=10.0, idle_timeout=5.0)


def test_claims_go_through_the_mapping_of_the_provider() -> None:
    session, facts = bearer_session(TOKEN, CLAIMS, provider_settings_of(person=RULES))

    assert session.identity.id == facts.identity_id == "acme:job-7"
    assert session.identity.roles == ("staff",)
    assert session.active_tenant_id == "o_1"
    assert session.token_name == "nightly"
    assert session.aal == "aal0"
    assert (facts.link.subject, facts.link.session_id) == ("job-7", "x")


def test_it_lives_as_long_as_the_token_and_is_never_written() -> None:
    session, _ = bearer_session(TOKEN, CLAIMS, provider_settings_of(person=RULES))

    def judged(now: float) -> Any:
        return authenticate_token(session, token=TOKEN, now=now, policy=POLICY)

    assert isinstance(judged(NOW + 359), Authenticated)
    ended = judged(NOW + 360)
    assert isinstance(ended, Anonymous)
    assert ended.reason is Reason.SESSION_EXPIRED
    assert all(
        touch(session, NOW + after, POLICY) is None for after in (0, 1, 301, 359)
    )
    assert unchanged(session, POLICY).until == NOW + 360


def test_the_same_token_is_the_same_session() -> None:
    settings = provider_settings_of(person=RULES)

    assert bearer_session(TOKEN, CLAIMS, settings) == bearer_session(
        ProviderToken("a.b.c", TOKEN.issuer), CLAIMS, settings
    )


@pytest.mark.parametrize(
    ("changes", "allow", "reason"),
    [
        ({"groups": [7]}, Allow(), Reason.CLAIM_MISSING),
        ({"groups": []}, Allow(roles=frozenset({"staff"})), Reason.ACCOUNT_NOT_ALLOWED),
        ({}, Allow(verified_email=True), Reason.EMAIL_UNVERIFIED),
        ({"_claim_names": {"groups": "x"}, "groups": None}, Allow(), Reason.CLAIM_MISSING),
        ({"org": {"o": {"name": "a\nb"}}}, Allow(), Reason.CLAIM_MISSING),
        ({"groups": [f"{n:0100}" for n in range(999)]}, Allow(), Reason.TOKEN_INVALID),
    ],
)  # fmt: skip
def test_who_may_not_sign_in_may_not_send_a_token(
    changes: dict[str, Any], allow: Allow, reason: Reason
) -> None:
    settings = provider_settings_of(person=RULES, allow=allow)
    claims = {n: v for n, v in (CLAIMS | changes).items() if v is not None}

    with pytest.raises(SignInFailed) as refused:
        bearer_session(TOKEN, claims, settings)

    assert refused.value.reason is reason
