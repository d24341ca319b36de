"""What goes with a request that may pass: to the upstream, and back."""

from typing import Any

import jwt
import pytest

from gateway.decision import Allow
from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.credentials import Credentials, credentials_for
from gateway.server.serving import Serving
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Authenticated
from gateway.sessions.cookie import new_token
from gateway.sessions.record import Session, Tenant
from gateway.sessions.store import MemoryStore
from tests.http.heads import head
from tests.server.parts import (
    NOW,
    Clockwork,
    Machine,
    Notes,
    a_serving,
    cookie,
    signed_in,
    some_tools,
    the_serving,
)
from tests.sessions.samples import a_session

DAY = 86_400.0
SESSION = a_session()
ACME, BETA = SESSION.tenants["t_acme"], SESSION.tenants["t_beta"]
SERVING = the_serving()


def given(
    session: Session = SESSION,
    tenant: Tenant | None = ACME,
    *fields: tuple[str, str],
    upstream: str = "web",
    key: str = "k",
    serving: Serving = SERVING,
    tools: Tools | None = None,
) -> Credentials:
    # Minted tokens are remembered; each of these tests begins without any.
    serving.minter.forget()
    return again(
        session,
        tenant,
        *fields,
        upstream=upstream,
        key=key,
        serving=serving,
        tools=tools,
    )


def again(
    session: Session = SESSION,
    tenant: Tenant | None = ACME,
    *fields: tuple[str, str],
    upstream: str = "web",
    key: str = "k",
    serving: Serving = SERVING,
    tools: Tools | None = None,
) -> Credentials:
    return credentials_for(
        serving.applications[upstream].view,
        Authenticated(session=session, key=key),
        Allow(reason=Reason.SIGNED_IN, session=session, tenant=tenant),
        head(*fields),
        serving,
        tools or some_tools(),
    )


def claims(token: str | bytes | None) -> dict[str, Any]:
    assert token is not None
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_a_decision_that_names_no_session_entitles_to_nothing() -> None:
    """A preflight passes as nobody, whatever cookie came with it."""
    tools = some_tools()

    found = credentials_for(
        SERVING.applications["api"].view,
        Authenticated(session=SESSION, key="k"),
        Allow(reason=Reason.PREFLIGHT),
        head(),
        SERVING,
        tools,
    )

    assert found == Credentials()
    assert isinstance(tools.report, Notes)
    assert tools.report.tokens == []


def test_without_a_tenant_there_is_no_token_that_names_one() -> None:
    """Law 8."""
    found = given(tenant=None, upstream="api")

    assert (found.token, found.token_cookies, found.set_cookies) == (None, [], [])
    assert dict(found.identity).keys().isdisjoint({b"X-Auth-Tenant-Id"})


def test_a_tenant_that_is_no_membership_gets_no_token() -> None:
    found = given(tenant=Tenant(id="t_other", name="O", role="owner"), upstream="api")

    assert (found.token, found.token_cookies) == (None, [])


def test_the_upstream_gets_the_token_of_its_profile_for_the_tenant_asked() -> None:
    database, assertion = given(tenant=BETA, upstream="api"), again(upstream="web")

    assert claims(database.token)["tenant_id"] == "t_beta"
    assert claims(database.token)["aud"] == "postgrest"
    assert claims(assertion.token)["aud"] == "web"
    assert "tenant_id" not in claims(assertion.token)


async def test_an_upstream_without_a_profile_gets_no_token() -> None:
    plain = {name: {"url": "http://127.0.0.1:1"} for name in ("web", "api")}

    found = given(serving=a_serving(upstreams=plain))

    assert (found.token, list(found.token_cookies)) == (None, [])
    assert dict(found.identity)[b"X-Auth-User-Id"] == b"u_ada"


def test_the_identity_is_told_with_the_tenant_of_the_request() -> None:
    assert dict(given(tenant=BETA).identity) == {
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
    tools = some_tools()

    first = given(upstream="api", tools=tools)
    other = again(upstream="api", tools=tools)

    assert first.token == other.token
    assert isinstance(tools.report, Notes)
    # The header and the cookie carry the same profile: one signature for both.
    assert tools.report.tokens == [("database", True), *[("database", False)] * 3]


# A longer life


async def touched(
    session: Session, now: float = NOW, **sessions: Any
) -> tuple[Credentials, Session]:
    tools = some_tools()
    token = await signed_in(tools, session)
    assert isinstance(tools.edge, Clockwork)
    tools.edge.time = now
    serving = a_serving(sessions=sessions) if sessions else SERVING
    found = given(
        session, ACME, cookie(token), key=token.key, serving=serving, tools=tools
    )
    await tools.finish()
    stored = await tools.store.load(token.key)
    assert isinstance(stored, Session)
    return found, stored


async def test_a_use_within_the_minute_writes_nothing() -> None:
    session = a_session(last_seen_at=NOW - 59)

    found, stored = await touched(session)

    assert stored == session
    assert all("gateway_session" not in each for each in found.set_cookies)


async def test_a_use_is_noted_and_sets_no_cookie() -> None:
    found, stored = await touched(a_session(last_seen_at=NOW - 61))

    assert (stored.last_seen_at, stored.expires_at) == (NOW, NOW + DAY)
    assert all("gateway_session" not in each for each in found.set_cookies)


async def test_a_time_that_may_be_wrong_is_not_written() -> None:
    tools = some_tools()
    tools.edge = machine = Machine()
    session = a_session(expires_at=NOW + 400 * DAY)
    machine.wall += 300 * DAY
    tools.edge.now()

    given(session, tools=tools)
    await tools.finish()
    machine.passes(600)
    given(session, tools=tools)

    assert len(tools._later) == 1
    await tools.finish()


async def test_a_longer_life_is_written_and_the_browser_is_told() -> None:
    session = a_session(expires_at=NOW + 3600, last_seen_at=NOW - 61)

    found, stored = await touched(session, lifespan="24h", extend_within="6h")

    assert stored.expires_at == NOW + DAY
    token = new_token(bytes([1]) * 32).value
    assert found.set_cookies[-1] == (
        f"__Host-gateway_session={token}; Path=/; HttpOnly; Secure; SameSite=Lax;"
        " Max-Age=86400"
    )


async def test_a_session_of_the_browsers_life_is_not_made_to_outlive_it() -> None:
    session = a_session(expires_at=NOW + 3600, persistent=False)

    found, stored = await touched(session, lifespan="24h", extend_within="6h")

    assert stored.expires_at == NOW + DAY
    assert all("gateway_session" not in each for each in found.set_cookies)


async def test_a_cookie_that_is_not_there_is_not_set_anew() -> None:
    tools = some_tools()
    serving = a_serving(sessions={"lifespan": "24h", "extend_within": "6h"})

    found = given(a_session(expires_at=NOW + 3600), serving=serving, tools=tools)
    await tools.finish()

    assert all("gateway_session" not in each for each in found.set_cookies)


async def test_a_session_that_ended_meanwhile_stays_ended() -> None:
    tools = some_tools()
    session = a_session(last_seen_at=NOW - 61)
    token = await signed_in(tools, session)
    await tools.store.end(token.key, NOW)

    given(session, ACME, cookie(token), key=token.key, tools=tools)
    await tools.finish()

    stored = await tools.store.load(token.key)
    assert isinstance(stored, Session)
    assert not stored.active


class Away(MemoryStore):
    async def replace(self, *_: object) -> bool:
        raise StoreUnavailable


async def test_an_outage_of_the_store_keeps_no_one_waiting() -> None:
    tools = some_tools(store=Away())

    found = given(a_session(last_seen_at=NOW - 61), tools=tools)
    await tools.finish()

    assert found.token is not None


@pytest.mark.parametrize("upstream", ["web", "api"])
def test_a_credential_is_never_made_out_of_what_the_client_sent(upstream: str) -> None:
    plain = given(upstream=upstream)

    spoofed = again(
        SESSION,
        ACME,
        ("Authorization", "Bearer mine"),
        ("X-Auth-User-Id", "root"),
        ("Cookie", "api_jwt=mine"),
        upstream=upstream,
    )

    assert spoofed == plain
