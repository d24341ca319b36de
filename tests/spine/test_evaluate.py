"""What becomes of a request: the two halves, each kind of outcome, and their laws."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.head import RequestHead
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Rule
from gateway.sessions.authenticate import Authenticated
from gateway.sessions.cookie import new_token
from gateway.sessions.end_word import ENDS
from gateway.sessions.record import AnonymousSession, Corrupt, Session
from gateway.spine.answers import Problem, Redirect
from gateway.spine.evaluate import (
    LookupResult,
    Unavailable,
    after_lookup,
    before_lookup,
)
from gateway.spine.local_paths import Endpoint
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond
from gateway.spine.ruleset import Ruleset
from tests.http.heads import head
from tests.server.parts import cookie, the_runtime
from tests.sessions.samples import NOW, a_session

RULES = the_runtime().rules
TOKEN = new_token(bytes([1]) * 32)
SESSION = a_session()
HTML = ("Accept", "text/html")


def evaluate(
    request: RequestHead, found: LookupResult = None, rules: Ruleset = RULES
) -> Outcome:
    step = before_lookup(request, rules, now=NOW)
    if isinstance(step, Lookup):
        return after_lookup(step, found, rules, now=NOW, nonce="0" * 32)
    return step


def fields(outcome: Outcome) -> dict[bytes, bytes]:
    assert isinstance(outcome, Forward)
    return dict(outcome.outbound.headers)


def authenticated(outcome: Forward) -> bool:
    return isinstance(outcome.access.authentication, Authenticated)


# Before the look-up


@pytest.mark.parametrize(
    ("request_", "verdict", "reason", "status"),
    [
        pytest.param(head(target="/.gateway/nothing"), Verdict.REFUSE, Reason.NO_ROUTE, 404, id="no endpoint"),
        pytest.param(head(target="/.gateway/logout"), Verdict.REFUSE, Reason.METHOD_NOT_ALLOWED, 405, id="not its method"),
        pytest.param(head(target="/a%2Fb"), Verdict.REFUSE, Reason.BAD_TARGET, 400, id="an escape that no route allows"),
        pytest.param(head(target="/api/x"), Verdict.CHALLENGE, Reason.NO_SESSION, 401, id="no cookie"),
        pytest.param(head(cookie("short"), target="/api/x"), Verdict.CHALLENGE, Reason.MALFORMED, 401, id="no token"),
        pytest.param(head(HTML, target="/api/x"), Verdict.CHALLENGE, Reason.NO_SESSION, 302, id="a browser"),
    ],
)  # fmt: skip
def test_what_needs_no_session_is_answered_without_the_store(
    request_: RequestHead, verdict: Verdict, reason: Reason, status: int
) -> None:
    outcome = before_lookup(request_, RULES, now=NOW)

    assert isinstance(outcome, Respond)
    assert (outcome.verdict, outcome.reason, outcome.answer.status) == (
        verdict,
        reason,
        status,
    )
    assert outcome.cookies == ()


def test_a_public_request_without_a_cookie_is_forwarded_without_the_store() -> None:
    outcome = before_lookup(head(), RULES, now=NOW)

    assert isinstance(outcome, Forward)
    assert (outcome.reason, authenticated(outcome)) == (Reason.PUBLIC, False)
    assert (outcome.write, list(outcome.tokens), list(outcome.set_cookies)) == (
        None,
        [],
        [],
    )


@pytest.mark.parametrize(
    ("method", "target", "endpoint"),
    [
        ("GET", "/.gateway/account", Endpoint.ACCOUNT),
        ("HEAD", "/.gateway/account", Endpoint.ACCOUNT),
        ("DELETE", "/.gateway/sessions/x", Endpoint.END_SESSION),
        ("GET", "/.well-known/jwks.json", Endpoint.JWKS),
    ],
)
def test_an_own_path_is_local_and_names_its_endpoint(
    method: str, target: str, endpoint: Endpoint
) -> None:
    request = head(cookie(TOKEN), method=method, target=target)

    assert before_lookup(request, RULES, now=NOW) == Local(endpoint=endpoint)


def test_a_cookie_has_to_be_looked_up_where_the_session_decides() -> None:
    for target in ("/", "/api/x"):
        step = before_lookup(head(cookie(TOKEN), target=target), RULES, now=NOW)

        assert isinstance(step, Lookup)
        assert step.credential == TOKEN


# After it


@pytest.mark.parametrize(
    ("found", "reason", "cleared"),
    [
        pytest.param(None, Reason.UNKNOWN_SESSION, True, id="unknown"),
        pytest.param(Corrupt(why="x"), Reason.SESSION_UNREADABLE, False, id="unreadable"),
        pytest.param(AnonymousSession(), Reason.NO_SESSION, False, id="a visitor's"),
        pytest.param(replace(SESSION, active=False), Reason.SESSION_REVOKED, True, id="revoked"),
        pytest.param(replace(SESSION, expires_at=NOW), Reason.SESSION_EXPIRED, True, id="expired"),
    ],
)  # fmt: skip
def test_a_session_that_is_not_valid_is_challenged(
    found: LookupResult, reason: Reason, cleared: bool
) -> None:
    outcome = evaluate(head(cookie(TOKEN), target="/api/x"), found)

    assert isinstance(outcome, Respond)
    assert (outcome.verdict, outcome.reason) == (Verdict.CHALLENGE, reason)
    assert outcome.cookies == (RULES.cookies_after(reason) if cleared else ())
    assert outcome.session is None


def test_an_outage_of_the_store_is_neither_yes_nor_no() -> None:
    """Law 4: 503, and no cookie is cleared."""
    outcome = evaluate(head(cookie(TOKEN), target="/api/x"), Unavailable())

    assert isinstance(outcome, Respond)
    assert (outcome.verdict, outcome.reason) == (
        Verdict.ERROR,
        Reason.STORE_UNAVAILABLE,
    )
    assert (outcome.answer.status, outcome.cookies) == (503, ())
    assert outcome.close


def test_an_outage_lets_a_public_request_pass_without_an_identity() -> None:
    outcome = evaluate(head(cookie(TOKEN)), Unavailable())

    assert isinstance(outcome, Forward)
    assert not authenticated(outcome)
    sent = {n: v for n, v in fields(outcome).items() if n.startswith(b"X-Auth")}
    assert sent == {b"X-Auth-Status": b"unavailable"}


@pytest.mark.parametrize(
    ("sent", "found", "status"),
    [
        pytest.param((), None, b"none", id="no cookie"),
        pytest.param((cookie("!"),), None, b"none", id="malformed"),
        pytest.param((cookie(TOKEN),), None, b"unknown_session", id="unknown"),
        pytest.param(
            (cookie(TOKEN),),
            a_session(expires_at=NOW),
            b"session_expired",
            id="expired",
        ),
        pytest.param(
            (cookie(TOKEN),),
            a_session(active=False),
            b"session_revoked",
            id="revoked",
        ),
        pytest.param((cookie(TOKEN),), Corrupt("x"), b"unavailable", id="unreadable"),
        pytest.param((cookie(TOKEN),), SESSION, None, id="valid"),
        pytest.param(
            (("Cookie", "gateway_ended=session_idle"),),
            None,
            b"session_idle",
            id="ended before",
        ),
        pytest.param(
            (("X-Auth-Status", "none"), ("X-Forwarded-Uri", "/x"), cookie(TOKEN)),
            SESSION,
            None,
            id="sent by the client",
        ),
    ],
)
def test_an_open_page_learns_why_there_is_no_session(
    sent: tuple[tuple[str, str], ...], found: LookupResult, status: bytes | None
) -> None:
    outcome = evaluate(head(*sent, target="/?a=b"), found)

    got = fields(outcome)
    assert got.get(b"X-Auth-Status") == status
    assert got.get(b"X-Forwarded-Uri") == (None if status is None else b"/?a=b")


def test_a_target_too_long_to_repeat_is_not_repeated() -> None:
    outcome = evaluate(head(target=f"/?{'a' * 2047}"), None)

    assert b"X-Forwarded-Uri" not in fields(outcome)


@pytest.mark.parametrize("reason", sorted(ENDS))
def test_the_reason_of_an_end_outlives_the_cookie(reason: Reason) -> None:
    """The response that clears the cookie is not the only one that has the word."""
    word = ("Cookie", f"a=b; gateway_ended={reason}")

    outcome = evaluate(head(word, target="/api/x"), None)

    assert isinstance(outcome, Respond)
    assert (outcome.reason, outcome.cookies) == (reason, ())


def test_the_word_of_an_earlier_end_does_not_concern_a_session() -> None:
    """Sign in after an end, and nothing may be left of it."""
    both = ("Cookie", f"{cookie(TOKEN)[1]}; gateway_ended=session_revoked")

    assert isinstance(evaluate(head(both, target="/api/x"), SESSION), Forward)
    refused = evaluate(head(both, target="/api/x"), a_session(expires_at=NOW))
    assert isinstance(refused, Respond)
    assert refused.reason is Reason.SESSION_EXPIRED


def test_an_allowed_request_carries_identity_token_and_tenant() -> None:
    outcome = evaluate(head(cookie(TOKEN), target="/api/x"), SESSION)

    sent = fields(outcome)
    assert sent[b"X-Auth-User-Id"] == b"u_ada"
    assert sent[b"X-Auth-Tenant-Id"] == b"t_acme"
    assert sent[b"Authorization"].startswith(b"Bearer ey")
    assert isinstance(outcome, Forward)
    assert outcome.outbound.target == "/api/x"
    assert TOKEN.value.encode() not in outcome.outbound.encode("r", "t")


def test_a_credential_of_the_caller_stands_for_the_cookie() -> None:
    step = before_lookup(head(target="/api/x"), RULES, now=NOW, credential=TOKEN)

    assert isinstance(step, Lookup)
    assert step.credential is TOKEN


# Laws, over random requests, records and times

TARGETS = st.sampled_from(
    ["/", "/api/x", "/api", "/.gateway/session", "/a%2Fb", "/api/%7Ex", "/x?api", "/.g"]
)
COOKIES = st.sampled_from([(), (cookie(TOKEN),), (cookie("x"),), (cookie(TOKEN),) * 2])
RECORDS: st.SearchStrategy[LookupResult] = st.one_of(
    st.sampled_from([None, Unavailable(), AnonymousSession(), Corrupt(why="?")]),
    st.builds(
        lambda changes: replace(SESSION, **changes),
        st.fixed_dictionaries(
            {},
            optional={
                "active": st.booleans(),
                "expires_at": st.sampled_from([NOW - 1, NOW, NOW + 1, NOW + 9e4]),
                "authenticated_at": st.sampled_from([NOW - 1e6, NOW, NOW + 60]),
                "active_tenant_id": st.sampled_from([None, "t_acme", "t_other"]),
            },
        ),
    ),
)


@given(
    target=TARGETS,
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS"]),
    cookies=COOKIES,
    found=RECORDS,
    html=st.booleans(),
)
def test_the_halves_are_total_repeatable_and_fail_closed(
    target: str,
    method: str,
    cookies: tuple[tuple[str, str], ...],
    found: LookupResult,
    html: bool,
) -> None:
    request = head(*cookies, *((HTML,) if html else ()), method=method, target=target)
    outcome = evaluate(request, found)

    assert outcome == evaluate(request, found) or isinstance(outcome, Forward)
    match outcome:
        case Forward(access=access):
            valid = isinstance(found, Session) and authenticated(outcome)
            assert valid or access.route.rule is Rule.PUBLIC
            assert authenticated(outcome) is (b"X-Auth-User-Id" in fields(outcome))
        case Respond(answer=Redirect(status=status)):
            assert status in {302, 303}
            assert html
        case Respond(answer=Problem(status=status)):
            assert status >= 400
            assert outcome.cookies == () or outcome.verdict is Verdict.CHALLENGE
        case Local():
            assert target.startswith("/.gateway")
        case _:
            raise AssertionError(outcome)
