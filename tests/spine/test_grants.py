"""What an allowed request carries: to the upstream, and back to the browser."""

from typing import Any

import jwt
import pytest

from gateway.sessions.authenticate import Authenticated, touch
from gateway.sessions.cookie import SessionToken, new_token
from gateway.sessions.record import Session, Tenant
from gateway.spine.grants import Grants, grants_for
from gateway.spine.outcome import SessionWrite
from gateway.spine.ruleset import Ruleset
from gateway.spine.session_plan import TokenUse
from gateway.tokens.minter import Minter
from tests.http.heads import head
from tests.server.parts import a_runtime, the_runtime
from tests.sessions.samples import NOW, a_session

DAY = 86_400.0
SESSION = a_session()
ACME, BETA = SESSION.tenants["t_acme"], SESSION.tenants["t_beta"]
RULES = the_runtime().rules
TOKEN = new_token(bytes([1]) * 32)
NONCE = "ab" * 16


def given(
    session: Session = SESSION,
    tenant: Tenant | None = ACME,
    *fields: tuple[str, str],
    upstream: str = "web",
    rules: Ruleset = RULES,
) -> Grants:
    # Tokens are remembered; each of these tests begins without any.
    assert isinstance(rules.issuer, Minter)
    rules.issuer.forget()
    return again(session, tenant, *fields, upstream=upstream, rules=rules)


def again(
    session: Session = SESSION,
    tenant: Tenant | None = ACME,
    *fields: tuple[str, str],
    upstream: str = "web",
    rules: Ruleset = RULES,
    credential: SessionToken = TOKEN,
) -> Grants:
    plan = next(p for p in rules.plans.values() if p.view.name == upstream)
    return grants_for(
        plan.view,
        Authenticated(session=session, key=credential.key),
        tenant,
        credential,
        head(*fields),
        rules,
        now=NOW,
        nonce=NONCE,
    )


def fields(found: Grants) -> dict[bytes, bytes]:
    lines = found.lines.split(b"\r\n")[:-1]
    return {name: value for name, _, value in (line.partition(b": ") for line in lines)}


def token(found: Grants) -> bytes | None:
    carried = fields(found)
    bearer = carried.get(b"Authorization", b"").removeprefix(b"Bearer ")
    return bearer or carried.get(b"X-Auth-Assertion")


def claims(token: str | bytes | None) -> dict[str, Any]:
    assert token is not None
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_without_a_tenant_there_is_no_token_that_names_one() -> None:
    """Law 8."""
    found = given(tenant=None, upstream="api")

    assert (token(found), found.token_cookies, found.set_cookies) == (None, [], [])
    assert fields(found).keys().isdisjoint({b"X-Auth-Tenant-Id"})


def test_a_tenant_that_is_no_membership_gets_no_token() -> None:
    found = given(tenant=Tenant(id="t_other", name="O", role="owner"), upstream="api")

    assert (token(found), found.token_cookies) == (None, [])


def test_the_upstream_gets_the_token_of_its_profile_for_the_tenant_asked() -> None:
    database, assertion = given(tenant=BETA, upstream="api"), again(upstream="web")

    assert claims(token(database))["tenant_id"] == "t_beta"
    assert claims(token(database))["aud"] == "postgrest"
    assert claims(token(assertion))["aud"] == "web"
    assert "tenant_id" not in claims(token(assertion))


async def test_an_upstream_without_a_profile_gets_no_token() -> None:
    plain = {name: {"url": "http://127.0.0.1:1"} for name in ("web", "api")}

    found = given(rules=a_runtime(upstreams=plain).rules)

    assert (token(found), list(found.token_cookies)) == (None, [])
    assert fields(found)[b"X-Auth-User-Id"] == b"u_ada"


def test_the_identity_is_sent_with_the_tenant_of_the_request() -> None:
    sent = fields(given(tenant=BETA))

    assert sent.pop(b"X-Auth-Assertion")
    assert sent == {
        b"X-Auth-User-Id": b"u_ada",
        b"X-Auth-Email": b"ada@example.com",
        b"X-Auth-Role": b"admin",
        b"X-Auth-Tenant-Id": b"t_beta",
        b"X-Auth-Tenant-Role": b"member",
        b"X-Auth-Session-Id": SESSION.id.encode(),
    }


def test_a_token_cookie_is_handed_out_once() -> None:
    first = given(upstream="api")
    ((name, value),) = first.token_cookies

    second = again(
        SESSION, ACME, ("Cookie", f"a=1; api_jwt={value.decode()}"), upstream="api"
    )
    stale = again(SESSION, ACME, ("Cookie", "api_jwt=e30.e30.old"), upstream="api")
    elsewhere = again(SESSION, ACME, ("Cookie", "api_jwt=e30.e30.old"))

    assert name == b"api_jwt"
    assert first.set_cookies == [
        f"api_jwt={value.decode()}; Path=/; HttpOnly; Secure; SameSite=Lax"
    ]
    assert second.set_cookies == []
    assert stale.set_cookies == first.set_cookies
    assert second.token_cookies == stale.token_cookies == first.token_cookies
    # A token names one audience: an upstream of another profile never sees it.
    assert not elsewhere.token_cookies


def test_a_token_is_signed_once_and_then_reused_and_both_are_counted() -> None:
    first = given(upstream="api")
    other = again(upstream="api")

    assert token(first) == token(other)
    # The header and the cookie carry the same profile: one signature for both.
    once, reused = (TokenUse(profile="database", signed=each) for each in (True, False))
    assert list(first.issued) == [once, reused]
    assert list(other.issued) == [reused, reused]


async def test_no_two_tokens_of_a_request_have_the_same_id() -> None:
    profiles = {
        "one": {"audience": "a", "header": "Authorization"},
        "two": {"audience": "b", "cookie": "two_jwt"},
        "three": {"audience": "c", "cookie": "three_jwt"},
    }
    plain = {
        name: {"url": "http://127.0.0.1:1", "token": "one"} for name in ("web", "api")
    }
    tokens = {
        "issuer": "https://app.example",
        "algorithm": "EdDSA",
        "profiles": profiles,
    }
    rules = a_runtime(upstreams=plain, tokens=tokens).rules

    found = given(rules=rules)

    cookies = [each.partition("=")[2].partition(";")[0] for each in found.set_cookies]
    ids = {claims(token)["jti"] for token in (token(found), *cookies)}
    assert len(ids) == 3
    assert NONCE in ids


# A longer life


def test_a_use_within_the_minute_writes_nothing() -> None:
    found = given(a_session(last_seen_at=NOW - 59))

    assert found.write is None
    assert all("gateway_session" not in each for each in found.set_cookies)


def test_a_use_is_noted_and_sets_no_cookie() -> None:
    session = a_session(last_seen_at=NOW - 61)

    found = given(session)

    assert found.write is not None
    assert (found.write.key, found.write.old) == (TOKEN.key, session)
    assert (found.write.new.last_seen_at, found.write.new.expires_at) == (
        NOW,
        session.expires_at,
    )
    assert all("gateway_session" not in each for each in found.set_cookies)


def test_a_time_that_may_be_wrong_is_not_written() -> None:
    session = a_session(expires_at=NOW + 400 * DAY)
    now = NOW + 300 * DAY

    doubted = touch(session, now, RULES.lifetimes, doubted=True)

    assert doubted is None
    assert touch(session, now, RULES.lifetimes) is not None


async def extending() -> Ruleset:
    return a_runtime(sessions={"lifespan": "24h", "extend_within": "6h"}).rules


async def test_a_longer_life_is_written_and_the_cookie_is_renewed() -> None:
    session = a_session(expires_at=NOW + 3600, last_seen_at=NOW - 61)

    found = given(session, rules=await extending())

    assert isinstance(found.write, SessionWrite)
    assert found.write.new.expires_at == NOW + DAY
    assert found.set_cookies[-1] == (
        f"__Host-gateway_session={TOKEN.value}; Path=/; HttpOnly; Secure; SameSite=Lax;"
        " Max-Age=86400"
    )


async def test_a_session_of_the_browsers_life_is_not_made_to_outlive_it() -> None:
    session = a_session(expires_at=NOW + 3600, persistent=False)

    found = given(session, rules=await extending())

    assert found.write is not None
    assert found.write.new.expires_at == NOW + DAY
    assert all("gateway_session" not in each for each in found.set_cookies)


def test_no_grant_prints_a_token() -> None:
    found = given(upstream="api")

    carried = token(found)
    assert carried is not None
    assert carried.decode() not in repr(found)


@pytest.mark.parametrize("upstream", ["web", "api"])
def test_a_credential_is_never_made_out_of_what_the_client_sent(upstream: str) -> None:
    given(upstream=upstream)
    plain = again(upstream=upstream)

    spoofed = again(
        SESSION,
        ACME,
        ("Authorization", "Bearer mine"),
        ("X-Auth-User-Id", "root"),
        ("Cookie", "api_jwt=mine"),
        upstream=upstream,
    )

    assert spoofed == plain
