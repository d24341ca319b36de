"""A token for a page: who gets which, and who gets none."""

from typing import Any

import jwt
import orjson
import pytest

from gateway.observe.audit_events import TokenIssued
from gateway.reasons import Reason
from gateway.server.context import Services
from gateway.server.runtime import Runtime
from gateway.sessions.record import Session
from tests.http.heads import head
from tests.server.parts import (
    Rendered,
    a_config,
    a_runtime,
    call_path,
    cookie,
    signed_in,
    some_services,
)
from tests.sessions.samples import NOW, a_session

PAGE = {
    "audience": "realtime",
    "browser": True,
    "lifetime": "5m",
    "claims": {"role": "authenticated", "tenant_id": "{tenant.id}"},
}
OPEN = {"audience": "page", "browser": True, "claims": {}}
SHOP = "https://shop.example"


def runtime() -> Runtime:
    tokens = a_config()["tokens"]
    tokens["profiles"] |= {"page": PAGE, "open": OPEN}
    server = {"public_url": "https://app.example", "cors_origins": [f"{SHOP}:443"]}
    return a_runtime(tokens=tokens, server=server, tenants=TENANTS)


TENANTS = {"resolve": ["session", {"header": "X-Tenant"}]}


async def asked(
    target: str,
    *fields: tuple[str, str],
    method: str = "GET",
    session: Session | None = None,
    by: Runtime | None = None,
) -> tuple[Rendered, Reason, Services]:
    services = some_services()
    token = await signed_in(services, session)
    request = head(cookie(token), *fields, method=method, target=f"/.gateway{target}")
    answer, context = await call_path(
        request, services=services, runtime=by or runtime()
    )
    return answer, context.reason, services


def claims_in(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


@pytest.mark.parametrize(
    ("target", "status", "reason"),
    [
        pytest.param("/token", 404, Reason.NO_ROUTE, id="no profile"),
        pytest.param("/token?profile=", 404, Reason.NO_ROUTE, id="an empty one"),
        pytest.param("/token?profile=nothing", 404, Reason.NO_ROUTE, id="unknown"),
        pytest.param("/token?profile=database", 404, Reason.NO_ROUTE, id="one of an upstream"),
        pytest.param("/token?profile=assertion", 404, Reason.NO_ROUTE, id="the assertion"),
        pytest.param("/token?profile=page&profile=page", 404, Reason.NO_ROUTE, id="twice"),
        pytest.param("/token?profile=PAGE", 404, Reason.NO_ROUTE, id="another case"),
        pytest.param("/sessions/whoami?tokenize_as=assertion", 400, Reason.BAD_REQUEST, id="whoami, the assertion"),
        pytest.param("/sessions/whoami?tokenize_as=", 400, Reason.BAD_REQUEST, id="whoami, an empty one"),
        pytest.param("/sessions/whoami?tokenize_as=page&tokenize_as=open", 400, Reason.BAD_REQUEST, id="whoami, two"),
    ],
)  # fmt: skip
async def test_only_profiles_for_pages_are_given_to_pages(
    target: str, status: int, reason: Reason
) -> None:
    answer, found, services = await asked(target)

    assert (answer.reply.status, found) == (status, reason)
    assert services.report.audits == []  # type: ignore[attr-defined]
    assert b"eyJ" not in answer.reply.body


@pytest.mark.parametrize(
    "path", ["/token?profile=page", "/sessions/whoami?tokenize_as=page"]
)
@pytest.mark.parametrize(
    "fields",
    [
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")],
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://app.example")],
    ],
)
async def test_a_page_of_another_origin_gets_none(
    path: str, fields: list[tuple[str, str]]
) -> None:
    answer, reason, services = await asked(path, *fields)

    assert (answer.reply.status, reason) == (403, Reason.CROSS_SITE)
    assert b"eyJ" not in answer.reply.body
    assert "Access-Control-Allow-Origin" not in dict(answer.reply.headers)
    assert services.report.audits == []  # type: ignore[attr-defined]


async def test_a_tenant_that_is_not_ones_own_is_refused() -> None:
    nowhere = a_session(active_tenant_id=None)

    answer, reason, _ = await asked(
        "/token?profile=open", ("X-Tenant", "t_other"), session=nowhere
    )
    named, why, _ = await asked("/token?profile=page", ("X-Tenant", "t_beta"))

    assert (answer.reply.status, reason) == (403, Reason.NOT_A_MEMBER)
    assert (named.reply.status, why) == (403, Reason.TENANT_CONFLICT)


@pytest.mark.parametrize(
    ("session", "status", "reason"),
    [
        (a_session(active_tenant_id=None), 403, Reason.TENANT_MISSING),
        (a_session(tenants={}), 403, Reason.TENANT_MISSING),
        (a_session(expires_at=NOW + 0.5), 403, Reason.SESSION_EXPIRED),
        (a_session(active=False), 401, Reason.SESSION_REVOKED),
        (a_session(expires_at=NOW - 1), 401, Reason.SESSION_EXPIRED),
    ],
)
async def test_a_session_that_cannot_have_it_gets_none(
    session: Session, status: int, reason: Reason
) -> None:
    answer, found, _ = await asked("/token?profile=page", session=session)

    assert (answer.reply.status, found) == (status, reason)
    assert b"eyJ" not in answer.reply.body


async def test_without_a_session_there_is_none() -> None:
    request = head(target="/.gateway/token?profile=page")

    answer, context = await call_path(request, runtime=runtime())

    assert (answer.reply.status, context.reason) == (401, Reason.NO_SESSION)


async def test_a_page_gets_a_token_of_its_audience_for_the_active_tenant() -> None:
    answer, reason, services = await asked(
        "/token?profile=page", ("Sec-Fetch-Site", "same-origin")
    )

    document = orjson.loads(answer.reply.body)
    claims = claims_in(document["token"])
    assert (answer.reply.status, reason) == (200, Reason.GATEWAY)
    assert (document["token_type"], document["expires_in"]) == ("Bearer", 300)
    assert document["expires_at"] == "2027-01-15T08:05:00Z"
    assert (claims["aud"], claims["tenant_id"]) == ("realtime", "t_acme")
    assert claims["exp"] == int(NOW) + 300
    headers = dict(answer.reply.headers)
    assert headers["Cache-Control"] == "no-store"
    assert headers["Vary"] == "Origin"
    assert answer.cookies == ()
    report: Any = services.report
    assert report.audits == [TokenIssued(profile="page")]
    assert report.tokens == [("page", True)]


async def test_whoami_has_the_token_where_it_is_asked_for() -> None:
    answer, _, services = await asked("/sessions/whoami?tokenize_as=page")
    without, _, _ = await asked("/sessions/whoami")

    document = orjson.loads(answer.reply.body)
    assert claims_in(document["tokenized"])["aud"] == "realtime"
    assert document["identity"]["id"] == "u_ada"
    assert services.report.audits == [TokenIssued(profile="page")]  # type: ignore[attr-defined]
    assert "tokenized" not in orjson.loads(without.reply.body)


@pytest.mark.parametrize(
    ("target", "session", "status"),
    [
        ("/token?profile=page", a_session(), 200),
        ("/token?profile=none", a_session(), 404),
        ("/token?profile=page", a_session(active=False), 401),
        ("/sessions/whoami", a_session(), 200),
        ("/sessions/whoami", a_session(active=False), 401),
    ],
)
async def test_a_listed_page_may_read_what_it_gets_and_why_it_does_not(
    target: str, session: Session, status: int
) -> None:
    fields = (("Origin", SHOP), ("Sec-Fetch-Site", "cross-site"))

    answer, _, _ = await asked(target, *fields, session=session)

    headers = dict(answer.reply.headers)
    assert answer.reply.status == status
    assert headers["Access-Control-Allow-Origin"] == SHOP
    assert headers["Access-Control-Allow-Credentials"] == "true"


async def test_where_nothing_is_for_pages_nothing_is_there() -> None:
    by = a_runtime()

    token, _, _ = await asked("/token?profile=page", by=by)
    whoami, _, _ = await asked("/sessions/whoami", ("Origin", SHOP), by=by)

    assert token.reply.status == 404
    assert whoami.reply.status == 200
    assert "Vary" not in dict(whoami.reply.headers)
    assert "Access-Control-Allow-Origin" not in dict(whoami.reply.headers)


def preflight(origin: str) -> list[tuple[str, str]]:
    return [("Origin", origin), ("Access-Control-Request-Method", "GET")]


@pytest.mark.parametrize("path", ["/token?profile=page", "/sessions/whoami"])
async def test_a_preflight_is_answered_to_listed_pages(path: str) -> None:
    listed, _, _ = await asked(path, *preflight(SHOP), method="OPTIONS")
    other, reason, _ = await asked(
        path, *preflight("https://evil.example"), method="OPTIONS"
    )

    assert listed.reply.status == 204
    assert dict(listed.reply.headers)["Access-Control-Allow-Origin"] == SHOP
    assert (other.reply.status, reason) == (403, Reason.CROSS_SITE)
    assert "Access-Control-Allow-Origin" not in dict(other.reply.headers)
