"""From a refusal to what a browser, a program and a WebSocket are told."""

from typing import Any

import orjson
import pytest

from gateway.decision import Challenge, Deny
from gateway.http.head import BadRequest, RequestHead
from gateway.pages.pages import Pages
from gateway.pages.reply import Reply
from gateway.reasons import ROWS, Reason
from gateway.routes.model import Route, Rule, Unauthenticated
from gateway.server.request_errors import _FAILURES as RAISED
from gateway.spine.answers import Answer, Answers, Problem
from gateway.spine.sign_in_pages import SignInPages
from tests.http.heads import REQUEST_ID, head

FAILED = [*dict.fromkeys(reason for _, reason in RAISED), Reason.INTERNAL]
PAGES = Pages(realm="app.example")


def answers(**changes: Any) -> Answers:
    return Answers(
        realm="app.example",
        sign_in=SignInPages(
            **{
                "url": "/auth/login",
                "return_to": "return_to",
                "home": "/dashboard",
                "no_tenant": "/auth/onboarding",
                "step_up": "/auth/login?refresh=true",
                "public_origin": "https://app.example",
                "allowed_return_urls": ("https://docs.example",),
            }
            | changes
        ),
    )


def route(**fields: Any) -> Route:
    return Route(id="r", path="/**", rule=Rule.PROTECTED, upstream="web", **fields)


TARGET = "/a/b?c=d&e"
WAY_BACK = "return_to=/a/b%3Fc%3Dd%26e"
LOGIN = f"/auth/login?{WAY_BACK}&reason="
STEP_UP = f"/auth/login?refresh=true&{WAY_BACK}&reason="
ONBOARDING = f"/auth/onboarding?{WAY_BACK}&reason=tenant_missing"
HTML = ("Accept", "text/html,*/*;q=0.8")
NAVIGATE = ("Sec-Fetch-Mode", "navigate")
HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw=="),
)
BROWSER = head(HTML, NAVIGATE, target=TARGET)
OLD_BROWSER = head(HTML, target=TARGET)
HEAD = head(HTML, NAVIGATE, method="HEAD", target=TARGET)
FORM = head(HTML, NAVIGATE, method="POST", target=TARGET)
FETCH = head(HTML, ("Sec-Fetch-Mode", "cors"), target=TARGET)
XHR = head(HTML, ("X-Requested-With", "XMLHttpRequest"), target=TARGET)
PROGRAM = head(("Accept", "application/json"), target=TARGET)
POSTER = head(("Accept", "*/*"), method="POST", target=TARGET)
SOCKET = head(HTML, NAVIGATE, *HANDSHAKE, target=TARGET)

AT_LOGIN = head(HTML, NAVIGATE, target="/auth/login?return_to=/auth/login")
AT_ONBOARDING = head(HTML, NAVIGATE, target="/auth/onboarding")
AT_SORRY = head(HTML, NAVIGATE, target="/sorry?x")

UNAUTHENTICATED = Challenge(reason=Reason.NO_SESSION)
OLD = Challenge(reason=Reason.STEP_UP)
WEAK = Challenge(reason=Reason.AAL_TOO_LOW)
AUTO = route()
STATUS = route(unauthenticated=Unauthenticated.STATUS)
REDIRECT = route(unauthenticated=Unauthenticated.REDIRECT)
SESSION = 'Session realm="app.example"'
STRONGER = f'{SESSION}, error="insufficient_user_authentication"'

CHALLENGES = [
    # never a redirect for a handshake: no client follows one
    pytest.param(UNAUTHENTICATED, REDIRECT, SOCKET, 401, None, SESSION, id="socket-redirect"),
    pytest.param(UNAUTHENTICATED, AUTO, SOCKET, 401, None, SESSION, id="socket-auto"),
    pytest.param(OLD, AUTO, SOCKET, 401, None, STRONGER, id="socket-step-up"),
    # auto: as the caller reads
    pytest.param(UNAUTHENTICATED, AUTO, BROWSER, 302, LOGIN + "no_session", None, id="auto-browser"),
    pytest.param(UNAUTHENTICATED, AUTO, OLD_BROWSER, 302, LOGIN + "no_session", None, id="auto-old-browser"),
    pytest.param(UNAUTHENTICATED, AUTO, HEAD, 302, LOGIN + "no_session", None, id="auto-head"),
    pytest.param(UNAUTHENTICATED, AUTO, FORM, 303, LOGIN + "no_session", None, id="auto-form"),
    pytest.param(UNAUTHENTICATED, AUTO, FETCH, 401, None, SESSION, id="auto-fetch"),
    pytest.param(UNAUTHENTICATED, AUTO, XHR, 401, None, SESSION, id="auto-xhr"),
    pytest.param(UNAUTHENTICATED, AUTO, PROGRAM, 401, None, SESSION, id="auto-program"),
    pytest.param(UNAUTHENTICATED, AUTO, POSTER, 401, None, SESSION, id="auto-poster"),
    # told by the route
    pytest.param(UNAUTHENTICATED, STATUS, BROWSER, 401, None, SESSION, id="status-browser"),
    pytest.param(UNAUTHENTICATED, STATUS, PROGRAM, 401, None, SESSION, id="status-program"),
    pytest.param(UNAUTHENTICATED, REDIRECT, PROGRAM, 302, LOGIN + "no_session", None, id="redirect-program"),
    pytest.param(UNAUTHENTICATED, REDIRECT, POSTER, 303, LOGIN + "no_session", None, id="redirect-poster"),
    # the page that one is sent to, where it is behind a session itself
    pytest.param(UNAUTHENTICATED, AUTO, AT_LOGIN, 401, None, SESSION, id="sign-in-page"),
    pytest.param(UNAUTHENTICATED, REDIRECT, AT_LOGIN, 401, None, SESSION, id="sign-in-page-redirect"),
    pytest.param(OLD, AUTO, AT_LOGIN, 401, None, STRONGER, id="step-up-page"),
    # stronger
    pytest.param(OLD, AUTO, BROWSER, 302, STEP_UP + "step_up", None, id="step-up-browser"),
    pytest.param(WEAK, AUTO, BROWSER, 302, STEP_UP + "aal_too_low", None, id="aal-browser"),
    pytest.param(OLD, AUTO, PROGRAM, 401, None, STRONGER, id="step-up-program"),
    pytest.param(WEAK, STATUS, BROWSER, 401, None, STRONGER, id="aal-status"),
]  # fmt: skip

NOT_ADMIN = Deny(reason=Reason.NOT_ADMIN)
NO_TENANT = Deny(reason=Reason.TENANT_MISSING)
SIGNED_IN = Deny(reason=Reason.ALREADY_SIGNED_IN)
F403, F404, FPATH = AUTO, route(forbidden="404"), route(forbidden="/sorry")

DENIALS = [
    pytest.param(NO_TENANT, F403, AT_ONBOARDING, 403, None, id="no-tenant-page"),
    pytest.param(NOT_ADMIN, FPATH, AT_SORRY, 403, None, id="forbidden-page"),
    pytest.param(NOT_ADMIN, F403, BROWSER, 403, None, id="403-browser"),
    pytest.param(NOT_ADMIN, F403, PROGRAM, 403, None, id="403-program"),
    pytest.param(NOT_ADMIN, F403, SOCKET, 403, None, id="403-socket"),
    pytest.param(NOT_ADMIN, F404, BROWSER, 404, None, id="404-browser"),
    pytest.param(NOT_ADMIN, F404, PROGRAM, 404, None, id="404-program"),
    pytest.param(NOT_ADMIN, F404, SOCKET, 404, None, id="404-socket"),
    pytest.param(NOT_ADMIN, FPATH, BROWSER, 302, "/sorry", id="path-browser"),
    pytest.param(NOT_ADMIN, FPATH, FORM, 303, "/sorry", id="path-form"),
    pytest.param(NOT_ADMIN, FPATH, PROGRAM, 403, None, id="path-program"),
    pytest.param(NOT_ADMIN, FPATH, FETCH, 403, None, id="path-fetch"),
    pytest.param(NOT_ADMIN, FPATH, SOCKET, 403, None, id="path-socket"),
    # "unauthenticated" says nothing about who is signed in
    pytest.param(NOT_ADMIN, REDIRECT, PROGRAM, 403, None, id="redirect-is-not-for-denials"),
    # a page that mends it
    pytest.param(NO_TENANT, F403, BROWSER, 302, ONBOARDING, id="tenant-browser"),
    pytest.param(NO_TENANT, F403, FORM, 303, ONBOARDING, id="tenant-form"),
    pytest.param(NO_TENANT, F403, PROGRAM, 403, None, id="tenant-program"),
    pytest.param(NO_TENANT, F403, SOCKET, 403, None, id="tenant-socket"),
    pytest.param(NO_TENANT, F404, PROGRAM, 404, None, id="tenant-program-404"),
    # already signed in
    pytest.param(SIGNED_IN, F403, BROWSER, 302, "/dashboard", id="signed-in-browser"),
    pytest.param(SIGNED_IN, F403, FORM, 303, "/dashboard", id="signed-in-form"),
    pytest.param(SIGNED_IN, F403, PROGRAM, 403, None, id="signed-in-program"),
    pytest.param(SIGNED_IN, F403, SOCKET, 403, None, id="signed-in-socket"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("decision", "wanted", "caller", "status", "location", "authenticate"), CHALLENGES
)
def test_who_is_asked_to_sign_in_is_shown_where(
    decision: Challenge,
    wanted: Route,
    caller: RequestHead,
    status: int,
    location: str | None,
    authenticate: str | None,
) -> None:
    reply = sent(answers().to_decision(decision, wanted, caller))

    assert reply.status == status
    assert field(reply, "Location") == location
    assert field(reply, "WWW-Authenticate") == authenticate
    assert field(reply, "Cache-Control") == "no-store"


@pytest.mark.parametrize(
    ("decision", "wanted", "caller", "status", "location"), DENIALS
)
def test_a_refusal_has_the_form_that_the_route_states(
    decision: Deny,
    wanted: Route,
    caller: RequestHead,
    status: int,
    location: str | None,
) -> None:
    reply = sent(answers().to_decision(decision, wanted, caller))

    assert reply.status == status
    assert field(reply, "Location") == location
    assert field(reply, "WWW-Authenticate") is None


def test_without_a_page_for_tenants_it_is_a_refusal() -> None:
    reply = sent(answers(no_tenant=None).to_decision(NO_TENANT, AUTO, BROWSER))

    assert reply.status == 403


def test_a_program_gets_the_reason_and_the_sign_in_page() -> None:
    """RFC 9457."""
    reply = sent(answers().to_decision(UNAUTHENTICATED, AUTO, PROGRAM))

    assert field(reply, "Content-Type") == "application/problem+json"
    expected = orjson.loads(reply.body)
    assert expected == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "reason": "no_session",
        "detail": "Sign in to see this page.",
        "login_url": LOGIN + "no_session",
        "request_id": REQUEST_ID,
    }


def test_a_browser_is_shown_a_page() -> None:
    reply = sent(answers().to_decision(NOT_ADMIN, AUTO, BROWSER))

    assert field(reply, "Content-Type") == "text/html; charset=utf-8"
    assert b"This page is for administrators." in reply.body


def test_a_hidden_page_is_reported_as_one_that_is_not_there() -> None:
    for caller in (BROWSER, PROGRAM):
        hidden = sent(answers().to_decision(NOT_ADMIN, F404, caller))

        assert hidden == sent(answers().no_route(caller))


# The way back


@pytest.mark.parametrize(
    ("query", "location"),
    [
        pytest.param("return_to=//evil.example", "/dashboard", id="two slashes"),
        pytest.param("return_to=/%5Cevil.example", "/dashboard", id="a backslash"),
        pytest.param("return_to=https://evil.example/", "/dashboard", id="elsewhere"),
        pytest.param("return_to=https://app.example.evil/", "/dashboard", id="same beginning"),
        pytest.param("return_to=javascript:alert(1)", "/dashboard", id="a script"),
        pytest.param("return_to=/a&return_to=/b", "/dashboard", id="twice"),
        pytest.param("return_to=", "/dashboard", id="empty"),
        pytest.param("Return_To=/a", "/dashboard", id="another name"),
        pytest.param("x=/a", "/dashboard", id="none"),
        pytest.param("", "/dashboard", id="no query"),
        pytest.param("return_to=/a%0d%0aSet-Cookie:x", "/dashboard", id="two lines"),
        pytest.param("return_to=/a%3Fb%3Dc", "/a?b=c", id="a path"),
        pytest.param("x=1&return_to=/a", "/a", id="among others"),
        pytest.param("return_to=https://app.example/x", "https://app.example/x", id="our origin"),
        pytest.param("return_to=https://docs.example/y", "https://docs.example/y", id="an allowed one"),
    ],
)  # fmt: skip
def test_who_is_signed_in_goes_back_only_to_what_is_safe(
    query: str, location: str
) -> None:
    caller = head(HTML, NAVIGATE, target=f"/auth/login?{query}")

    reply = sent(answers().to_decision(SIGNED_IN, AUTO, caller))

    assert (reply.status, field(reply, "Location")) == (302, location)


def test_the_sign_in_page_may_be_elsewhere_and_have_a_query() -> None:
    pages = answers(url="https://id.example/in?client=1#top", return_to="next")

    reply = sent(pages.to_decision(UNAUTHENTICATED, AUTO, BROWSER))

    assert field(reply, "Location") == (
        "https://id.example/in?client=1&next=https%3A//app.example/a/b%3Fc%3Dd%26e"
        "&reason=no_session#top"
    )


# What no decision says


def test_a_broken_request_is_refused_without_an_echo() -> None:
    refusal = BadRequest(status=400, reason=Reason.BAD_TARGET, detail="<script>")

    reply = sent(answers().to_bad_request(refusal))

    assert reply.status == 400
    assert field(reply, "Content-Type") == "application/problem+json"
    assert b"script" not in reply.body


@pytest.mark.parametrize(
    ("refusal", "name", "value"),
    [
        pytest.param(
            BadRequest(status=405, reason=Reason.METHOD_NOT_ALLOWED, detail=""),
            "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", id="405",
        ),
        pytest.param(
            BadRequest(
                status=426, reason=Reason.BAD_UPGRADE, detail="",
                headers=(("Sec-WebSocket-Version", "13"),),
            ),
            "Sec-WebSocket-Version", "13", id="426",
        ),
    ],
)  # fmt: skip
def test_a_refusal_states_what_is_accepted(
    refusal: BadRequest, name: str, value: str
) -> None:
    reply = sent(answers().to_bad_request(refusal))

    assert (reply.status, field(reply, name)) == (refusal.status, value)


def test_a_method_that_no_route_takes_is_answered_with_those_that_are_taken() -> None:
    """RFC 9110, section 15.5.6."""
    reply = sent(answers().method_not_allowed(PROGRAM, ("GET", "HEAD")))

    assert (reply.status, field(reply, "Allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("reason", [pytest.param(r, id=r) for r in FAILED])
@pytest.mark.parametrize("caller", [BROWSER, PROGRAM], ids=["browser", "program"])
def test_a_failure_has_its_status_and_only_a_429_or_503_states_when_to_try_again(
    reason: Reason, caller: RequestHead
) -> None:
    reply = sent(answers().to_failure(reason, caller))

    assert reply.status == ROWS[reason].status
    assert (field(reply, "Retry-After") is not None) is (reply.status in {429, 503})
    assert field(reply, "WWW-Authenticate") is None


def test_whatever_is_raised_on_the_way_has_a_status() -> None:
    assert all(ROWS[reason].status >= 400 for _, reason in RAISED)


def test_our_own_paths_ask_for_a_session_with_a_status() -> None:
    reply = sent(answers().unauthenticated(Reason.SESSION_EXPIRED, BROWSER))

    assert (reply.status, field(reply, "WWW-Authenticate")) == (401, SESSION)


def sent(answer: Answer) -> Reply:
    return PAGES.render(answer, REQUEST_ID)


def field(reply: Reply, name: str) -> str | None:
    found = [value for key, value in reply.headers if key.lower() == name.lower()]
    assert len(found) <= 1, name
    return found[0] if found else None


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(
            head(("Next-Action", "7f"), method="POST", target="/a?b=c"),
            "/auth/login?return_to=/a%3Fb%3Dc&reason=no_session;push",
            id="a server action",
        ),
        pytest.param(head(("Next-Action", "7f"), target="/a"), None, id="not a POST"),
        pytest.param(head(method="POST", target="/a"), None, id="an ordinary POST"),
    ],
)
def test_a_server_action_without_a_session_leads_to_the_sign_in_page(
    request_: RequestHead, expected: str | None
) -> None:
    """Next.js leaves the user on the page otherwise, with an error nobody can read."""
    answer = answers().to_decision(
        Challenge(reason=Reason.NO_SESSION), route(), request_
    )

    assert isinstance(answer, Problem)
    assert answer.status == 401
    assert dict(answer.headers).get("X-Action-Redirect") == expected
