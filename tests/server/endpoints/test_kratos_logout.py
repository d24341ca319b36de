"""Sign-out in two steps, of which no other site can take the second."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from gateway.errors import StoreUnavailable
from gateway.observe.audit_events import SignedOut
from gateway.server.context import Services
from gateway.server.endpoints.kratos_logout import (
    PREFIX,
    create_logout_flow,
    logout_token,
    submit_logout,
)
from gateway.sessions.cookie import SessionToken, new_token
from tests.http.heads import head
from tests.memory_store import MemoryStore
from tests.server.parts import (
    Notes,
    Rendered,
    call,
    cookie,
    signed_in,
    some_services,
    stored,
    the_runtime,
)

RUNTIME = the_runtime()
JSON = ("Accept", "application/json")
HTML = ("Accept", "text/html")
TOKEN = new_token(bytes([1]) * 32)
GOOD = logout_token(TOKEN)
OTHER = logout_token(new_token(bytes([2]) * 32))


async def asked(
    endpoint: Any, query: str, *fields: tuple[str, str], services: Services
) -> Rendered:
    request = head(*fields, target=f"/.gateway/x{query}")
    answer, _ = await call(endpoint, request, services=services)
    return answer


def error(answer: Rendered) -> dict[str, Any]:
    problem: dict[str, Any] = orjson.loads(answer.reply.body)["error"]
    return problem


async def lives(services: Services, token: SessionToken = TOKEN) -> bool:
    session = await stored(services, token.key)
    return session.active


def test_the_token_is_the_sessions_own_and_does_not_disclose_its_secret() -> None:
    assert logout_token(TOKEN) == GOOD
    assert GOOD.startswith(PREFIX)
    assert len(GOOD) == len(PREFIX) + 43
    assert GOOD != OTHER
    assert TOKEN.value not in GOOD
    assert TOKEN.key not in GOOD


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("", 400, id="no token"),
        pytest.param("?token=", 400, id="an empty one"),
        pytest.param(f"?token={GOOD}&token={GOOD}", 400, id="two"),
        pytest.param("?token=ory_lo_", 403, id="the prefix alone"),
        pytest.param(f"?token={OTHER}", 403, id="another session's"),
        pytest.param(f"?token={GOOD}x", 403, id="longer"),
        pytest.param(f"?token={GOOD.lower()}", 403, id="another case"),
        pytest.param("?token=%FF%C3%A4", 403, id="not ASCII"),
        pytest.param(f"?token={TOKEN.value}", 403, id="the secret itself"),
        pytest.param(f"?token={TOKEN.key}", 403, id="the place in the store"),
        pytest.param(f"?token={GOOD}&return_to=//evil.test", 400, id="elsewhere"),
        pytest.param(f"?token={GOOD}&return_to=https://evil.test/", 400, id="a URL"),
    ],
)
@pytest.mark.parametrize("accept", [JSON, HTML])
async def test_what_is_wrong_ends_nothing(
    query: str, status: int, accept: tuple[str, str]
) -> None:
    services = some_services()
    await signed_in(services)

    answer = await asked(submit_logout, query, accept, cookie(TOKEN), services=services)

    assert (answer.reply.status, answer.cookies) == (status, ())
    assert await lives(services)
    if accept == JSON:
        assert error(answer)["code"] == status
    else:
        assert dict(answer.reply.headers)["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("accept", [JSON, HTML])
async def test_without_a_session_nothing_is_reported_to_have_ended(
    accept: tuple[str, str],
) -> None:
    answer = await asked(
        submit_logout, f"?token={GOOD}", accept, services=some_services()
    )

    assert answer.reply.status == 401
    assert "WWW-Authenticate" in dict(answer.reply.headers)
    if accept == JSON:
        assert error(answer)["id"] == "session_inactive"
        assert orjson.loads(answer.reply.body)["CredentialsMissing"] is True


class Away(MemoryStore):
    async def end(self, *_: object) -> None:
        raise StoreUnavailable


async def test_an_outage_clears_no_cookie() -> None:
    services = some_services(Away())
    await signed_in(services)

    with pytest.raises(StoreUnavailable):
        await asked(submit_logout, f"?token={GOOD}", cookie(TOKEN), services=services)


@pytest.mark.parametrize(
    ("query", "accept", "status", "to"),
    [
        ("", JSON, 204, None),
        ("", HTML, 303, "/"),
        ("&return_to=/bye%3Fa", HTML, 303, "/bye?a"),
        ("&return_to=https://app.example/bye", HTML, 303, "https://app.example/bye"),
    ],
)
async def test_the_right_token_ends_the_session(
    query: str, accept: tuple[str, str], status: int, to: str | None
) -> None:
    services = some_services()
    await signed_in(services)

    answer = await asked(
        submit_logout, f"?token={GOOD}{query}", accept, cookie(TOKEN), services=services
    )

    assert answer.reply.status == status
    assert dict(answer.reply.headers).get("Location") == to
    assert answer.cookies == RUNTIME.rules.clear_cookies
    assert not await lives(services)
    assert isinstance(services.report, Notes)
    assert services.report.audits == [SignedOut(everywhere=False)]


async def test_the_first_step_ends_nothing_and_names_the_second() -> None:
    services = some_services()
    await signed_in(services)

    answer = await asked(
        create_logout_flow,
        "?return_to=/bye%3Fa%26b",
        JSON,
        cookie(TOKEN),
        services=services,
    )

    document = orjson.loads(answer.reply.body)
    url = urlsplit(document["logout_url"])
    assert (answer.reply.status, document["logout_token"]) == (200, GOOD)
    assert url.geturl().startswith("https://app.example/.gateway/self-service/logout?")
    assert parse_qs(url.query) == {"token": [GOOD], "return_to": ["/bye?a&b"]}
    assert await lives(services)


@pytest.mark.parametrize(
    "return_to", ["//evil.test", "https://evil.test", "javascript:x"]
)
async def test_no_address_is_given_that_leads_elsewhere(return_to: str) -> None:
    services = some_services()
    await signed_in(services)

    answer = await asked(
        create_logout_flow,
        f"?return_to={return_to}",
        JSON,
        cookie(TOKEN),
        services=services,
    )

    assert answer.reply.status == 400
    assert error(answer)["id"] == "self_service_flow_return_to_forbidden"
    assert b"evil" not in answer.reply.body


async def test_the_first_step_needs_a_session() -> None:
    answer = await asked(create_logout_flow, "", JSON, services=some_services())

    assert (answer.reply.status, error(answer)["id"]) == (401, "session_inactive")
