"""Whose request it is, and what Kratos' JSON says of the session."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason, Verdict
from gateway.server.endpoints.kratos_session import (
    Caller,
    NoSession,
    caller_of,
    not_signed_in,
    session_view,
)
from gateway.sessions.authenticate import LifetimePolicy
from gateway.sessions.record import Method
from tests.http.heads import head
from tests.memory_store import MemoryStore
from tests.server.parts import (
    a_context,
    cookie,
    rendered,
    signed_in,
    some_services,
    the_runtime,
)
from tests.sessions.samples import DAY, NOW, a_session

RUNTIME = the_runtime()
POLICY = LifetimePolicy(lifespan=DAY)


@pytest.mark.parametrize("name", ["X-Session-Token", "x-session-token"])
async def test_another_credential_next_to_the_cookie_is_refused(name: str) -> None:
    services = some_services()
    token = await signed_in(services)

    request = head(cookie(token), (name, "ory_st_x"))
    found = await caller_of(a_context(request, services=services))

    assert found == NoSession(reason=Reason.MALFORMED)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], NoSession(reason=Reason.NO_SESSION, missing=True), id="none"),
        pytest.param(
            [("Authorization", f"Bearer {'A' * 43}")],
            NoSession(reason=Reason.NO_SESSION, missing=True),
            id="a bearer token is no credential here",
        ),
        pytest.param([cookie("short")], NoSession(reason=Reason.MALFORMED), id="shape"),
        pytest.param(
            [cookie("A" * 43)],
            NoSession(reason=Reason.UNKNOWN_SESSION, ended=True),
            id="unknown",
        ),
    ],
)
async def test_who_has_no_session_is_unauthenticated(
    fields: list[tuple[str, str]], expected: NoSession
) -> None:
    context = a_context(head(*fields))

    assert await caller_of(context) == expected
    assert (context.verdict, context.reason) == (Verdict.CHALLENGE, expected.reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"active": False}, Reason.SESSION_REVOKED),
        ({"expires_at": NOW}, Reason.SESSION_EXPIRED),
    ],
)
async def test_an_ended_session_is_nobodys(
    changes: dict[str, Any], reason: Reason
) -> None:
    services = some_services()
    token = await signed_in(services, replace(a_session(), **changes))

    found = await caller_of(a_context(head(cookie(token)), services=services))

    assert found == NoSession(reason=reason, ended=True)


async def test_a_live_session_is_its_owners() -> None:
    services = some_services()
    token = await signed_in(services)
    context = a_context(head(cookie(token)), services=services)

    found = await caller_of(context)

    assert found == Caller(session=a_session(), token=token)
    assert token.value not in repr(found)
    assert (context.principal.identity_id, context.principal.session_id) == (
        "u_ada",
        a_session().id,
    )


class Away(MemoryStore):
    async def load(self, *_: object) -> None:
        raise StoreUnavailable


async def test_an_outage_is_no_answer() -> None:
    with pytest.raises(StoreUnavailable):
        await caller_of(
            a_context(head(cookie("A" * 43)), services=some_services(Away()))
        )


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("ended", [False, True])
async def test_only_an_ended_session_takes_its_cookies_along(
    flow: bool, ended: bool
) -> None:
    missing_session = NoSession(reason=Reason.SESSION_EXPIRED, ended=ended)

    context = a_context(head())
    answer = rendered(not_signed_in(missing_session, context, flow=flow), context)

    assert answer.reply.status == 401
    assert "WWW-Authenticate" in dict(answer.reply.headers)
    assert answer.cookies == (
        RUNTIME.rules.cookies_after(missing_session.reason) if ended else ()
    )
    document = orjson.loads(answer.reply.body)
    assert document["error"]["details"] == {"reason": "session_expired"}
    assert document["error"].get("id") == ("session_inactive" if flow else None)


def test_a_session_has_the_form_of_kratos() -> None:
    view = session_view(a_session(), POLICY)

    (device,) = view.pop("devices")
    assert device == {
        "id": session_view(a_session(), POLICY)["devices"][0]["id"],
        "ip_address": "203.0.113.9",
        "user_agent": "Browser/1",
        "location": "",
    }
    assert view == {
        "id": "5f0d2c3e-0000-4000-8000-000000000001",
        "active": True,
        "expires_at": "2027-01-16T08:00:00Z",
        "authenticated_at": "2027-01-15T08:00:00Z",
        "authenticator_assurance_level": "aal1",
        "authentication_methods": [
            {
                "method": "password",
                "aal": "aal1",
                "completed_at": "2027-01-15T08:00:00Z",
            }
        ],
        "issued_at": "2027-01-15T08:00:00Z",
        "identity": {
            "id": "u_ada",
            "schema_id": "default",
            "schema_url": "",
            "state": "active",
            "traits": {"email": "ada@example.com", "name": "Ada"},
            "metadata_public": {
                "roles": ["admin"],
                "tenants": {
                    "t_acme": {"name": "Acme", "role": "owner"},
                    "t_beta": {"name": "Beta", "role": "member"},
                },
                "active_tenant_id": "t_acme",
            },
        },
    }


def test_a_second_factor_is_shown_as_one() -> None:
    methods = (Method(method="totp", completed_at=NOW),)

    view = session_view(a_session(aal="aal2", methods=methods), POLICY)

    assert view["authenticator_assurance_level"] == "aal2"
    assert view["authentication_methods"][0]["aal"] == "aal2"


def test_the_end_is_that_of_the_policy() -> None:
    view = session_view(a_session(), LifetimePolicy(lifespan=3600))

    assert view["expires_at"] == "2027-01-15T09:00:00Z"
