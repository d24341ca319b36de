"""One button that ends the session, and the cookies that go with it."""

from urllib.parse import quote

import pytest

from gateway.errors import StoreUnavailable
from gateway.observe.audit_events import SignedOut
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext, Services
from gateway.server.endpoints.logout import logout
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

HTML = ("Accept", "text/html")
FETCH = ("Sec-Fetch-Mode", "cors")
RUNTIME = the_runtime()


async def pressed(
    *fields: tuple[str, str], form: str = "", services: Services | None = None
) -> tuple[Rendered, RequestContext]:
    request = head(*fields, ("Transfer-Encoding", "chunked"), method="POST")
    return await call(logout, request, form.encode(), services=services)


@pytest.mark.parametrize(
    ("query", "form", "leads"),
    [
        pytest.param("?return_to=/bye", "", "/bye", id="in the query"),
        pytest.param("?return_to=/bye", "return_to=/form", "/form", id="form first"),
        pytest.param("?return_to=/a&return_to=/b", "", "/", id="twice"),
        pytest.param("?return_to=https://evil.test/", "", None, id="elsewhere"),
    ],
)
async def test_a_redirected_form_names_in_the_query_where_it_returns(
    query: str, form: str, leads: str | None
) -> None:
    """A 307 keeps the body of the app's own form, which says nothing of it."""
    request = head(
        ("Transfer-Encoding", "chunked"),
        method="POST",
        target=f"/.gateway/logout{query}",
    )

    answer, _ = await call(logout, request, form.encode())

    assert location(answer) == leads
    assert answer.reply.status == (400 if leads is None else 303)


def location(answer: Rendered) -> str | None:
    return dict(answer.reply.headers).get("Location")


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(("Sec-Fetch-Site", "cross-site"), id="by Sec-Fetch-Site"),
        pytest.param(("Sec-Fetch-Site", "same-site"), id="a sibling host"),
        pytest.param(("Origin", "https://blog.app.example"), id="a sibling's Origin"),
        pytest.param(("Origin", "https://evil.example"), id="by Origin"),
        pytest.param(("Origin", "null"), id="a sandboxed frame"),
    ],
)
async def test_another_site_signs_no_user_out(field: tuple[str, str]) -> None:
    services = some_services()
    token = await signed_in(services)

    answer, context = await pressed(field, cookie(token), services=services)

    assert (answer.reply.status, answer.cookies) == (403, ())
    assert (context.verdict, context.reason) == (Verdict.DENY, Reason.CROSS_SITE)
    assert (await stored(services, token.key)).active


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example/", "javascript:alert(1)", "", "/\\evil"],
)
async def test_an_address_elsewhere_is_refused_and_then_nothing_ends(
    wanted: str,
) -> None:
    services = some_services()
    token = await signed_in(services)

    answer, context = await pressed(
        HTML, cookie(token), form=f"return_to={quote(wanted)}", services=services
    )

    assert (answer.reply.status, answer.cookies) == (400, ())
    assert (context.verdict, context.reason) == (Verdict.REFUSE, Reason.BAD_RETURN_TO)
    assert (await stored(services, token.key)).active


async def test_without_the_store_nothing_is_reported_to_have_ended() -> None:
    """Law 4: no cookie is cleared."""
    services = some_services(store=Away())

    with pytest.raises(StoreUnavailable):
        await pressed(HTML, cookie("A" * 43), services=services)


@pytest.mark.parametrize(
    ("fields", "form", "status", "to"),
    [
        pytest.param([HTML], "", 303, "/", id="a form"),
        pytest.param([HTML], "return_to=/bye%3Fx", 303, "/bye?x", id="with a way back"),
        pytest.param([HTML], "return_to=/a&return_to=/b", 303, "/", id="with two"),
        pytest.param([FETCH], "", 204, None, id="a script"),
        pytest.param([("Accept", "*/*")], "", 303, "/", id="a program"),
        pytest.param([HTML, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "navigate")], "", 303, "/", id="a browser"),
    ],
)  # fmt: skip
async def test_the_session_ends_and_every_cookie_of_ours_goes(
    fields: list[tuple[str, str]], form: str, status: int, to: str | None
) -> None:
    services = some_services()
    token = await signed_in(services)

    answer, context = await pressed(
        *fields, cookie(token), form=form, services=services
    )

    assert (answer.reply.status, location(answer)) == (status, to)
    assert answer.cookies == RUNTIME.rules.clear_cookies
    assert [each.partition("=")[0] for each in answer.cookies] == [
        "__Host-gateway_session",
        "api_jwt",
    ]
    ended = await stored(services, token.key)
    assert (ended.active, ended.ended_reason) == (False, "signed_out")
    assert context.principal.identity_id == "u_ada"
    assert isinstance(services.report, Notes)
    assert services.report.audits == [SignedOut(everywhere=False)]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="no cookie"),
        pytest.param([cookie("A" * 43)], id="unknown"),
        pytest.param([cookie("short")], id="malformed"),
        pytest.param([cookie("A" * 43), cookie("A" * 43)], id="two"),
    ],
)
async def test_who_has_no_session_is_answered_the_same(
    fields: list[tuple[str, str]],
) -> None:
    services = some_services()

    answer, _ = await pressed(HTML, *fields, services=services)

    assert (answer.reply.status, answer.cookies) == (303, RUNTIME.rules.clear_cookies)
    assert isinstance(services.report, Notes)
    assert services.report.audits == []


class Away(MemoryStore):
    async def end(self, *_: object) -> None:
        raise StoreUnavailable
