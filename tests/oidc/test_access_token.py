"""An access token opens in the record of its session, for its provider, while it lives."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.oidc.access_token import (
    AccessToken,
    AccessTokens,
    NoAccessToken,
    keeps_access_token,
    with_access_token,
)
from gateway.oidc.membership import due_at
from gateway.oidc.token import Tokens
from gateway.oidc.vault import NONCE_BYTES, Vault
from gateway.sessions.provider_token import ACCEPTED_BY
from gateway.sessions.record import Session
from gateway.sessions.record_json import parse_record, serialise
from tests.oidc.settings import provider_settings_of
from tests.sessions.samples import NOW, a_session

VAULT = Vault({"k1": b"1" * 32})
SETTINGS = provider_settings_of()
TOKENS = AccessTokens(vault=VAULT, providers={"acme": SETTINGS})
FACTS = {"name": "acme", "refreshed_at": int(NOW)}


def kept(key: str = "key", expires_in: float | None = 300.0, **facts: Any) -> Session:
    tokens = Tokens(id_token=None, access_token="the-token", expires_in=expires_in)
    found = with_access_token(
        FACTS, tokens, VAULT, SETTINGS, key, bytes(NONCE_BYTES), NOW
    )
    return replace(a_session(), extra={"provider": found | facts})


def test_it_opens_in_its_session_and_survives_the_store() -> None:
    session = parse_record(serialise(kept()))
    assert isinstance(session, Session)

    found = TOKENS.of(session, "key", "acme", NOW)

    assert found == AccessToken(text="the-token", until=int(NOW) + 295)
    assert b"the-token" not in serialise(session)
    assert "the-token" not in repr(found)
    assert keeps_access_token(session)


@pytest.mark.parametrize(
    ("session", "key", "now"),
    [
        pytest.param(kept(), "another", NOW, id="of-another-session"),
        pytest.param(kept(access_token="k1:AAAA"), "key", NOW, id="changed"),
        pytest.param(kept(access_token=7), "key", NOW, id="a-number"),
        pytest.param(kept(access_until="later"), "key", NOW, id="no-time"),
        pytest.param(kept(access_until=True), "key", NOW, id="a-boolean"),
        pytest.param(kept(access_until=float("inf")), "key", NOW, id="for-ever"),
        pytest.param(kept(), "key", NOW + 296, id="about-to-end"),
        pytest.param(kept(), "key", NOW + 3000, id="over"),
    ],
)
def test_what_cannot_be_sent_is_no_token(
    session: Session, key: str, now: float
) -> None:
    assert TOKENS.of(session, key, "acme", now) == NoAccessToken()


def test_a_session_of_another_provider_gets_none() -> None:
    other = replace(a_session(), extra={"provider": {"name": "other"}})

    assert TOKENS.of(kept(), "key", "other", NOW) is None
    assert TOKENS.of(other, "key", "acme", NOW) is None
    assert TOKENS.of(a_session(), "key", "acme", NOW) is None
    assert not keeps_access_token(a_session())


def test_a_programs_token_is_sent_for_the_provider_that_accepted_it() -> None:
    programs = replace(a_session(), extra={ACCEPTED_BY: "acme"})
    others = replace(a_session(), extra={ACCEPTED_BY: "beta"})

    assert TOKENS.accepts("acme", programs)
    assert not TOKENS.accepts("acme", others)
    assert not TOKENS.accepts("beta", others)
    assert not TOKENS.accepts("acme", a_session())


def test_a_token_without_a_stated_life_lives_until_it_is_renewed() -> None:
    session = kept(expires_in=None)

    assert isinstance(TOKENS.of(session, "key", "acme", NOW + 1e6), AccessToken)
    assert due_at(session, {"acme": 900.0}, NOW) == int(NOW) + 900


def test_a_session_is_due_when_two_thirds_of_the_life_have_passed() -> None:
    assert due_at(kept(), {"acme": 900.0}, NOW) == int(NOW + 200)
    assert due_at(kept(expires_in=3600), {"acme": 900.0}, NOW) == int(NOW) + 900
    assert due_at(kept(expires_in=1), {"acme": 900.0}, NOW) == int(NOW + 10)
