"""What a front proxy is sent: 200 with every header once, or a refusal it can pass on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.mode import Mode
from gateway.authz.replies import allow_reply, cookie_fields, deny_reply
from gateway.http.challenge import (
    basic_challenge,
    bearer_challenge,
    session_challenge,
)
from gateway.http.head import RequestHead
from gateway.http.headers import normalize_name
from gateway.pages.reply import Reply
from gateway.reasons import ROWS, Reason
from gateway.spine.answers import Problem, Redirect
from gateway.spine.evaluate import LookupResult, Unavailable
from gateway.spine.outcome import Forward, Outcome, Respond
from tests.authz.checks import Asked, described, proxied
from tests.http.heads import head
from tests.server.parts import cookie, the_runtime
from tests.sessions.samples import a_session
from tests.spine.test_evaluate import RECORDS, TOKEN, evaluate

RUNTIME = the_runtime()
SESSION = a_session()
IDENTITY = (
    "X-Auth-User-Id", "X-Auth-Email", "X-Auth-Role", "X-Auth-Tenant-Id",
    "X-Auth-Tenant-Role", "X-Auth-Session-Id",
)  # fmt: skip
OWN = (*IDENTITY, "X-Auth-Assertion", "Authorization", "Cookie")


def forwarded(outcome: Outcome) -> Forward:
    assert isinstance(outcome, Forward)
    return outcome


def denied(mode: Mode, outcome: Outcome) -> Reply:
    assert isinstance(outcome, Respond)
    return deny_reply(mode, outcome.answer, head(), RUNTIME.pages, "r1")


def one(reply: Reply, name: str) -> str | None:
    found = [text for given_name, text in reply.headers if given_name == name]
    assert len(found) <= 1, f"{name} is there {len(found)} times"
    return found[0] if found else None


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("number", range(5))
def test_every_cookie_has_a_field_that_the_front_proxy_reads(
    mode: Mode, number: int
) -> None:
    """nginx reads one Set-Cookie, or joins all of them: it is sent no second one."""
    cookies = [f"c{each}=1; Path=/" for each in range(number)]

    first, further = cookie_fields(mode, cookies)

    assert [*first, *(text for _, text in further)] == cookies
    if mode is Mode.AUTH_REQUEST:
        assert len(first) == min(1, number)
        names = [name for name, _ in further]
        assert names == [f"X-Gateway-Set-Cookie-{n}" for n in range(2, number + 1)]
    else:
        assert not further


@pytest.mark.parametrize("mode", Mode)
def test_an_allowed_request_gets_every_header_of_the_gateway_once(mode: Mode) -> None:
    sent = [("Accept", "*/*"), cookie(TOKEN), ("Cookie", "theme=dark")]
    outcome = forwarded(evaluate(head(*sent, target="/api/x"), SESSION))

    reply = allow_reply(mode, outcome)

    assert (reply.status, reply.body) == (200, b"")
    assert {name for name, _ in reply.headers} >= set(OWN)
    assert one(reply, "X-Auth-User-Id") == "u_ada"
    assert one(reply, "X-Auth-Tenant-Id") == "t_acme"
    assert (one(reply, "Authorization") or "").startswith("Bearer ey")
    assert one(reply, "X-Auth-Assertion") == ""  # the token of another upstream
    assert (one(reply, "Cookie") or "").startswith("theme=dark; api_jwt=ey")
    assert TOKEN.value not in str(reply.headers)
    assert one(reply, "Cache-Control") == "no-store"


@pytest.mark.parametrize("mode", Mode)
def test_an_anonymous_request_gets_them_empty_so_that_a_spoofed_one_is_replaced(
    mode: Mode,
) -> None:
    reply = allow_reply(
        mode, forwarded(evaluate(head(("X-Auth-User-Id", "u_mallory"))))
    )

    assert [one(reply, name) for name in OWN] == [""] * len(OWN)
    removed = one(reply, "X-Envoy-Auth-Headers-To-Remove")
    assert removed == (", ".join(OWN) if mode is Mode.EXT_AUTHZ else None)


@given(
    mode=st.sampled_from(Mode), found=RECORDS, target=st.sampled_from(["/", "/api/x"])
)
def test_the_app_is_sent_what_it_is_sent_on_the_proxy_path(
    mode: Mode, found: LookupResult, target: str
) -> None:
    """Same decision, same headers: the front proxy sets all that the gateway would."""
    requested = Asked(target=target, headers=(cookie(TOKEN), ("X-Auth_Email", "m@x")))
    by_proxy = proxied(requested)
    assert isinstance(by_proxy, RequestHead)
    outcome = evaluate(by_proxy, found)
    again = evaluate(described(mode, requested), found)

    assert type(again) is type(outcome)
    if not isinstance(outcome, Forward) or not isinstance(again, Forward):
        return
    names = {normalize_name(name.encode()) for name in OWN}
    sent = {n: v for n, v in outcome.outbound.headers if normalize_name(n) in names}
    reported = {
        n.encode(): v.encode("latin-1") for n, v in allow_reply(mode, again).headers
    }
    assert {n: v for n, v in reported.items() if n.decode() in OWN and v} == sent


CHALLENGED = head(("Accept", "text/html"), target="/api/x")


@pytest.mark.parametrize("mode", [Mode.FORWARD_AUTH, Mode.EXT_AUTHZ])
def test_a_browser_is_redirected_to_an_absolute_address(mode: Mode) -> None:
    reply = denied(mode, evaluate(CHALLENGED))

    assert reply.status == 302
    assert one(reply, "Location") == (
        "http://app.example/auth/login?return_to=/api/x&reason=no_session"
    )
    assert one(reply, "Cache-Control") == "no-store"


def test_nginx_gets_the_redirect_as_a_401_with_its_address() -> None:
    reply = denied(Mode.AUTH_REQUEST, evaluate(CHALLENGED))

    assert (reply.status, reply.body) == (401, b"")
    assert (one(reply, "Location") or "").startswith("http://app.example/auth/login?")
    assert one(reply, "X-Gateway-Status") == "302"


def test_an_address_on_another_host_stays() -> None:
    answer = Redirect(status=303, location="https://id.example/login")

    reply = deny_reply(Mode.FORWARD_AUTH, answer, head(), RUNTIME.pages, "r1")

    assert (reply.status, one(reply, "Location")) == (303, "https://id.example/login")


@pytest.mark.parametrize("mode", Mode)
def test_a_program_is_challenged(mode: Mode) -> None:
    reply = denied(mode, evaluate(head(target="/api/x")))

    assert reply.status == 401
    assert (one(reply, "WWW-Authenticate") or "").startswith("Session realm=")
    assert one(reply, "Location") is None
    json = one(reply, "Content-Type") == "application/problem+json"
    assert json is (mode is not Mode.AUTH_REQUEST)
    assert bool(reply.body) is json


@given(
    mode=st.sampled_from(Mode),
    reason=st.sampled_from(Reason),
    status=st.sampled_from(
        [400, 401, 403, 404, 405, 421, 426, 429, 431, 500, 501, 503]
    ),
    html=st.booleans(),
    known=st.booleans(),
)
def test_a_denial_is_never_a_success_and_nginx_can_pass_it_on(
    mode: Mode, reason: Reason, status: int, html: bool, known: bool
) -> None:
    answer = Problem(status=status, reason=reason, html=html)
    requested = head() if known else None

    reply = deny_reply(mode, answer, requested, RUNTIME.pages, "r1")

    if mode is Mode.AUTH_REQUEST:
        assert reply.status in {401, 403} or reply.status == status >= 500
        assert one(reply, "X-Gateway-Status") == str(status)
        assert reply.body == b""
    else:
        assert reply.status == status
    if status in {429, 503}:
        assert one(reply, "Retry-After")


@pytest.mark.parametrize("mode", Mode)
def test_an_outage_of_the_store_is_a_503(mode: Mode) -> None:
    reply = denied(mode, evaluate(head(cookie(TOKEN), target="/api/x"), Unavailable()))

    assert reply.status == ROWS[Reason.STORE_UNAVAILABLE].status == 503
    assert one(reply, "Retry-After") == "2"


def test_bytes_beyond_ascii_stay_as_they_are() -> None:
    outcome = forwarded(evaluate(head(cookie(TOKEN), target="/api/x"), SESSION))
    name = "Zoë".encode()
    own = (None, None, b"X-Auth-Email: %b\r\n" % name)
    changed = replace(outcome, outbound=replace(outcome.outbound, own=own))

    reply = allow_reply(Mode.FORWARD_AUTH, changed)

    assert (one(reply, "X-Auth-Email") or "").encode("latin-1") == name


@pytest.mark.parametrize("mode", Mode)
def test_every_challenge_arrives_where_a_front_proxy_passes_on_one(mode: Mode) -> None:
    fields = [bearer_challenge("a"), basic_challenge("a"), session_challenge("a")]
    answer = Problem(
        status=401, reason=Reason.NO_SESSION, html=False, headers=tuple(fields)
    )

    reply = deny_reply(mode, answer, head(), RUNTIME.pages, "r1")

    found = [text for name, text in reply.headers if name == "WWW-Authenticate"]
    assert len(found) == (1 if mode is Mode.AUTH_REQUEST else 3)
    assert ", ".join(found) == ", ".join(text for _, text in fields)
