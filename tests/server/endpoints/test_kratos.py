"""Kratos' session API: one's own sessions, and nobody else's."""

from typing import Any

import orjson
import pytest

from gateway.observe.audit_events import SessionRevoked
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext, Services
from gateway.sessions.cookie import SessionToken
from gateway.sessions.record import Identity
from gateway.spine.local_paths import methods_of
from tests.http.heads import head
from tests.server.parts import (
    Notes,
    Rendered,
    a_runtime,
    call_path,
    cookie,
    signed_in,
    some_services,
    the_runtime,
)
from tests.sessions.samples import NOW, a_session

RUNTIME = the_runtime()
MINE = "5f0d2c3e-0000-4000-8000-000000000001"
SECOND = "5f0d2c3e-0000-4000-8000-000000000002"
THIRD = "5f0d2c3e-0000-4000-8000-000000000003"
EVES = "5f0d2c3e-0000-4000-8000-0000000000ee"


async def people() -> tuple[Services, SessionToken]:
    """Ada on three devices, and Eve; gives the token of Ada's first."""
    services = some_services()
    token = await signed_in(services, a_session(id=MINE), 1)
    await signed_in(services, a_session(id=SECOND, authenticated_at=NOW - 1), 2)
    await signed_in(services, a_session(id=THIRD, authenticated_at=NOW - 2), 3)
    eve = Identity(id="u_eve", traits={})
    await signed_in(services, a_session(id=EVES, identity=eve), 4)
    return services, token


async def asked(
    method: str,
    below: str,
    *fields: tuple[str, str],
    services: Services | None = None,
    runtime: Any = RUNTIME,
) -> tuple[Rendered, RequestContext]:
    request = head(*fields, method=method, target=f"/.gateway/sessions{below}")
    return await call_path(request, services=services, runtime=runtime)


async def live(services: Services) -> set[str]:
    return {
        session.id
        for identity in ("u_ada", "u_eve")
        for _, session in await services.store.list_for(identity, NOW)
    }


def body(answer: Rendered) -> Any:
    return orjson.loads(answer.reply.body)


@pytest.mark.parametrize(
    ("method", "below"),
    [("GET", "/whoami"), ("GET", ""), ("DELETE", ""), ("DELETE", f"/{SECOND}")],
)
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="no cookie"),
        pytest.param([("Authorization", "Bearer x")], id="a bearer token"),
        pytest.param([cookie("A" * 43)], id="an unknown session"),
        pytest.param(["own", ("X-Session-Token", "x")], id="a second credential"),
    ],
)
async def test_an_unauthenticated_request_gets_a_401_and_ends_nothing(
    method: str, below: str, fields: list[Any]
) -> None:
    services, token = await people()
    sent = [cookie(token) if field == "own" else field for field in fields]

    answer, context = await asked(method, below, *sent, services=services)

    assert answer.reply.status == 401
    assert body(answer)["error"]["reason"] == (
        "No valid session credentials found in the request."
    )
    assert context.verdict == Verdict.CHALLENGE
    assert await live(services) == {MINE, SECOND, THIRD, EVES}


@pytest.mark.parametrize("below", ["", f"/{SECOND}"])
@pytest.mark.parametrize(
    "field",
    [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.test"),
        ("Origin", "https://blog.app.example"),
    ],
)
async def test_another_site_ends_nothing(below: str, field: tuple[str, str]) -> None:
    services, token = await people()

    answer, context = await asked(
        "DELETE", below, cookie(token), field, services=services
    )

    assert (answer.reply.status, context.reason) == (403, Reason.CROSS_SITE)
    assert body(answer)["error"]["id"] == "security_csrf_violation"
    assert await live(services) == {MINE, SECOND, THIRD, EVES}


@pytest.mark.parametrize(
    ("session_id", "status"),
    [
        pytest.param(EVES, 404, id="somebody else's"),
        pytest.param("5f0d2c3e-0000-4000-8000-00000000dead", 404, id="nobody's"),
        pytest.param(MINE, 400, id="one's own"),
        pytest.param("a%2Fb%20c", 400, id="no UUID"),
        pytest.param("*", 400, id="a pattern"),
    ],
)
async def test_what_is_not_another_of_ones_own_does_not_end(
    session_id: str, status: int
) -> None:
    services, token = await people()

    answer, _ = await asked(
        "DELETE", f"/{session_id}", cookie(token), services=services
    )

    assert answer.reply.status == status == body(answer)["error"]["code"]
    assert await live(services) == {MINE, SECOND, THIRD, EVES}


async def test_sessions_of_others_look_like_none() -> None:
    services, token = await people()
    nobodys = "5f0d2c3e-0000-4000-8000-00000000dead"

    theirs, _ = await asked("DELETE", f"/{EVES}", cookie(token), services=services)
    none, _ = await asked("DELETE", f"/{nobodys}", cookie(token), services=services)

    assert theirs.reply == none.reply


async def test_one_of_ones_own_ends_and_ending_it_again_is_no_error() -> None:
    services, token = await people()

    first, _ = await asked("DELETE", f"/{SECOND}", cookie(token), services=services)
    again, _ = await asked("DELETE", f"/{SECOND}", cookie(token), services=services)

    assert (first.reply.status, again.reply.status) == (204, 204)
    assert await live(services) == {MINE, THIRD, EVES}
    assert isinstance(services.report, Notes)
    assert services.report.audits == [SessionRevoked(session_id=SECOND)]


async def test_the_end_of_an_access_token_is_noted_as_one() -> None:
    services, token = await people()
    await signed_in(services, a_session(id="t_ci", token_name="ci"), 5)

    answer, _ = await asked("DELETE", "/t_ci", cookie(token), services=services)

    assert answer.reply.status == 204
    assert isinstance(services.report, Notes)
    assert services.report.audits == [
        SessionRevoked(session_id="t_ci", token_name="ci")
    ]


async def test_all_others_end() -> None:
    services, token = await people()

    answer, _ = await asked("DELETE", "", cookie(token), services=services)

    assert (answer.reply.status, body(answer)) == (200, {"count": 2})
    assert await live(services) == {MINE, EVES}


async def test_a_user_gets_the_own_identity() -> None:
    services, token = await people()

    answer, context = await asked("GET", "/whoami", cookie(token), services=services)

    assert (answer.reply.status, body(answer)["id"]) == (200, MINE)
    named = dict(answer.reply.headers)["X-Kratos-Authenticated-Identity-Id"]
    assert named == context.principal.identity_id == "u_ada"


async def test_a_name_cannot_end_a_header_line() -> None:
    services = some_services()
    odd = Identity(id="u_\u00e4%\u20ac", traits={})
    token = await signed_in(services, a_session(identity=odd))

    answer, _ = await asked("GET", "/whoami", cookie(token), services=services)

    named = dict(answer.reply.headers)["X-Kratos-Authenticated-Identity-Id"]
    assert named == "u_%C3%A4%25%E2%82%AC"


async def test_a_session_is_not_handed_out_as_a_token() -> None:
    services, token = await people()

    answer, _ = await asked(
        "GET", "/whoami?tokenize_as=x", cookie(token), services=services
    )

    assert answer.reply.status == 400


async def test_the_others_are_listed_newest_first() -> None:
    services, token = await people()

    answer, _ = await asked("GET", "", cookie(token), services=services)

    assert [each["id"] for each in body(answer)] == [SECOND, THIRD]


async def test_an_idle_session_is_not_listed() -> None:
    services, token = await people()
    idle = a_session(id=EVES[:-1] + "f", last_seen_at=NOW - 3600)
    await signed_in(services, idle, 5)
    runtime = a_runtime(sessions={"idle_timeout": "30m"})

    answer, _ = await asked(
        "GET", "", cookie(token), services=services, runtime=runtime
    )

    assert [each["id"] for each in body(answer)] == [SECOND, THIRD]


async def test_the_list_comes_in_pages() -> None:
    services, token = await people()

    first, _ = await asked("GET", "?page_size=1", cookie(token), services=services)
    bad, _ = await asked("GET", "?page_size=x", cookie(token), services=services)

    assert [each["id"] for each in body(first)] == [SECOND]
    assert 'rel="next"' in dict(first.reply.headers)["Link"]
    assert bad.reply.status == 400


@pytest.mark.parametrize(
    ("below", "methods"),
    [
        ("/", ()),
        (f"/{SECOND}/", ()),
        (f"/{SECOND}/x", ()),
        (f"/{SECOND}", ("DELETE",)),
        ("/whoami", ("GET", "OPTIONS", "HEAD")),
        ("", ("GET", "DELETE", "HEAD")),
    ],
)
async def test_a_session_is_one_segment_below(
    below: str, methods: tuple[str, ...]
) -> None:
    answer, _ = await asked("POST", below)

    assert methods_of(f"/.gateway/sessions{below}") == methods
    assert answer.reply.status == (405 if methods else 404)
