"""Access tokens in the spine: which request has one, and what becomes of it."""

import asyncio
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.head import RequestHead
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Rule
from gateway.server.runtime import Runtime
from gateway.sessions.access_token import new_access_token
from gateway.sessions.authenticate import TOKEN_SEEN_EVERY, Anonymous, Authenticated
from gateway.sessions.cookie import new_token
from gateway.sessions.record import Session
from gateway.spine.answers import Problem
from gateway.spine.evaluate import (
    LookupResult,
    Unavailable,
    after_lookup,
    before_lookup,
)
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond
from gateway.spine.reconsider import reconsider
from gateway.spine.ruleset import Ruleset
from tests.http.heads import head
from tests.server.parts import a_runtime, cookie
from tests.sessions.samples import NOW, a_session

TOKEN = new_access_token(bytes([7]) * 32)
BEARER = ("Authorization", f"Bearer {TOKEN.value}")
COOKIE = new_token(bytes([1]) * 32)
HTML = ("Accept", "text/html")
A_TOKEN = a_session(
    token_name="ci",
    aal="aal0",
    issued_at=NOW - 60,
    authenticated_at=NOW - 60,
    expires_at=NOW + 90 * 86_400,
)

ROUTES: list[dict[str, object]] = [
    {"match": "/**", "rule": "public", "upstream": "web"},
    {"match": "/person/**", "rule": "protected", "upstream": "web"},
    {"match": "/both/**", "rule": "protected", "upstream": "web", "credentials": ["cookie", "bearer"]},
    {"match": "/bearer/**", "rule": "protected", "upstream": "web", "credentials": ["bearer"]},
    {"match": "/basic/**", "rule": "protected", "upstream": "web", "credentials": ["basic"]},
    {"match": "/all/**", "rule": "protected", "upstream": "api", "credentials": ["cookie", "bearer", "basic"]},
    {"match": "/open/**", "rule": "public", "upstream": "web", "credentials": ["cookie", "bearer"]},
    {"match": "/admin/**", "rule": "admin-only", "upstream": "web", "credentials": ["cookie", "bearer"]},
    {"match": "/strict/**", "rule": "protected", "upstream": "web", "cross_site": "refuse", "credentials": ["cookie", "bearer", "basic"]},
    {"match": "/strong/**", "rule": "protected", "upstream": "web", "credentials": ["cookie", "bearer"], "require": {"aal": "aal1"}},
    {"match": "/recent/**", "rule": "protected", "upstream": "web", "credentials": ["cookie", "bearer"], "require": {"authenticated_within": "5m"}},
]  # fmt: skip


@cache
def rules() -> Ruleset:
    async def built() -> Runtime:
        return a_runtime(routes=ROUTES, roles={"admin": ["admin"]})

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, built()).result().rules


def basic(password: str, user: str = "anybody") -> tuple[str, str]:
    pair = b64encode(f"{user}:{password}".encode()).decode()
    return ("Authorization", f"Basic {pair}")


def evaluate(request: RequestHead, found: LookupResult = A_TOKEN) -> Outcome:
    step = before_lookup(request, rules(), now=NOW)
    if isinstance(step, Lookup):
        return after_lookup(step, found, rules(), now=NOW, nonce="0" * 32)
    return step


def challenges(outcome: Outcome) -> list[str]:
    assert isinstance(outcome, Respond)
    assert isinstance(outcome.answer, Problem)
    return [text for name, text in outcome.answer.headers if name == "WWW-Authenticate"]


def sent(outcome: Outcome) -> dict[bytes, bytes]:
    assert isinstance(outcome, Forward)
    return dict(outcome.outbound.headers)


# Which request has a credential

REFUSED = [
    pytest.param("/both/x", [("Authorization", f"Bearer {COOKIE.value}")], Reason.MALFORMED, id="the value of a cookie as a token"),
    pytest.param("/both/x", [cookie(TOKEN.value)], Reason.MALFORMED, id="a token in the cookie"),
    pytest.param("/both/x", [("Authorization", f"Bearer ghp_{TOKEN.value[4:]}")], Reason.MALFORMED, id="another prefix"),
    pytest.param("/both/x", [("Authorization", f"Bearer {TOKEN.value[:-1]}")], Reason.MALFORMED, id="cut off"),
    pytest.param("/both/x", [("Authorization", f"Bearer {TOKEN.value.swapcase()}")], Reason.MALFORMED, id="the case changed"),
    pytest.param("/both/x", [("Authorization", f"Bearer\t{TOKEN.value}")], Reason.CREDENTIAL_NOT_TAKEN, id="a tab for the space"),
    pytest.param("/both/x", [("Authorization", f"Bearer {TOKEN.value}, Bearer {TOKEN.value}")], Reason.MALFORMED, id="a list of two"),
    pytest.param("/both/x", [BEARER, BEARER], Reason.TWO_CREDENTIALS, id="two fields"),
    pytest.param("/both/x", [BEARER, ("authorization", "Digest x")], Reason.TWO_CREDENTIALS, id="a second scheme"),
    pytest.param("/both/x", [BEARER, cookie(COOKIE)], Reason.TWO_CREDENTIALS, id="a cookie as well"),
    pytest.param("/both/x", [BEARER, cookie("short")], Reason.TWO_CREDENTIALS, id="a cookie that is none as well"),
    pytest.param("/both/x", [("Authorization", "Basic eDp5"), cookie(COOKIE)], Reason.TWO_CREDENTIALS, id="a cookie and a scheme that is not taken"),
    pytest.param("/bearer/x", [BEARER, cookie(COOKIE)], Reason.TWO_CREDENTIALS, id="a cookie where none is taken, as well"),
    pytest.param("/bearer/x", [cookie(COOKIE)], Reason.CREDENTIAL_NOT_TAKEN, id="a cookie where none is taken"),
    pytest.param("/bearer/x", [basic(TOKEN.value)], Reason.CREDENTIAL_NOT_TAKEN, id="Basic where Bearer is taken"),
    pytest.param("/basic/x", [BEARER], Reason.CREDENTIAL_NOT_TAKEN, id="Bearer where Basic is taken"),
    pytest.param("/basic/x", [("Authorization", f'Digest username="{TOKEN.value}"')], Reason.CREDENTIAL_NOT_TAKEN, id="another scheme"),
    pytest.param("/basic/x", [basic(f"x:{TOKEN.value}")], Reason.MALFORMED, id="a colon in the password"),
    pytest.param("/basic/x", [basic("", TOKEN.value)], Reason.MALFORMED, id="the token as the user name"),
    pytest.param("/basic/x", [basic(COOKIE.value)], Reason.MALFORMED, id="the value of a cookie as a password"),
    pytest.param("/basic/x", [("Authorization", f"Basic {TOKEN.value}")], Reason.MALFORMED, id="the token without base64"),
    pytest.param("/bearer/x", [], Reason.NO_SESSION, id="nothing"),
    pytest.param("/bearer/x", [BEARER, ("Connection", "authorization")], Reason.NO_SESSION, id="for the next hop only"),
    pytest.param("/bearer/x", [("X-Authorization", BEARER[1])], Reason.NO_SESSION, id="another field"),
    pytest.param("/bearer/x", [("Proxy-Authorization", BEARER[1])], Reason.NO_SESSION, id="for a proxy"),
    pytest.param("/person/x", [BEARER], Reason.NO_SESSION, id="a route that takes the cookie alone"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "reason"), REFUSED)
def test_a_request_that_is_not_one_credential_is_not_looked_up(
    path: str, fields: list[tuple[str, str]], reason: Reason
) -> None:
    outcome = before_lookup(head(*fields, target=path), rules(), now=NOW)

    assert isinstance(outcome, Respond)
    assert (outcome.verdict, outcome.reason) == (Verdict.CHALLENGE, reason)
    assert outcome.answer.status == 401
    assert outcome.cookies == ()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/both/x", BEARER),
        ("/bearer/x", BEARER),
        ("/basic/x", basic(TOKEN.value)),
        ("/basic/x", basic(TOKEN.value, "")),
        ("/all/x", BEARER),
        ("/all/x", basic(TOKEN.value)),
    ],
)
def test_a_token_is_looked_up_by_its_hash(path: str, field: tuple[str, str]) -> None:
    step = before_lookup(head(field, target=path), rules(), now=NOW)

    assert isinstance(step, Lookup)
    assert step.credential.key == TOKEN.key


def test_a_cookie_counts_as_before_where_both_are_taken() -> None:
    outcome = evaluate(head(cookie(COOKIE), target="/both/x"), a_session())

    assert isinstance(outcome, Forward)
    assert outcome.access.session.identity.id == a_session().identity.id


@given(st.binary(max_size=60), st.sampled_from(["/both/x", "/basic/x", "/all/x"]))
def test_no_other_bytes_authenticate(value: bytes, path: str) -> None:
    printable = bytes(octet for octet in value if octet > 0x1F and octet != 0x7F)
    request = head((b"Authorization", printable), target=path)

    assert isinstance(before_lookup(request, rules(), now=NOW), Respond)


# What the store holds


@pytest.mark.parametrize(
    ("found", "reason", "stated"),
    [
        pytest.param(None, Reason.UNKNOWN_SESSION, "unknown", id="unknown"),
        pytest.param(a_session(), Reason.UNKNOWN_SESSION, "unknown", id="the session of a browser"),
        pytest.param(replace(A_TOKEN, active=False), Reason.SESSION_REVOKED, "revoked", id="revoked"),
        pytest.param(replace(A_TOKEN, expires_at=NOW), Reason.SESSION_EXPIRED, "expired", id="expired"),
    ],
)  # fmt: skip
def test_an_invalid_token_gets_a_401_and_never_a_redirect(
    found: Session | None, reason: Reason, stated: str
) -> None:
    outcome = evaluate(head(BEARER, HTML, target="/both/x"), found)

    assert isinstance(outcome, Respond)
    assert isinstance(outcome.answer, Problem)
    assert (outcome.reason, outcome.answer.status) == (reason, 401)
    assert stated in (outcome.answer.detail or "")
    assert outcome.answer.login_url is None
    assert outcome.cookies == ()
    assert 'error="invalid_token"' in challenges(outcome)[0]


def test_an_outage_is_no_refusal() -> None:
    outcome = evaluate(head(BEARER, target="/both/x"), Unavailable())

    assert isinstance(outcome, Respond)
    assert (outcome.verdict, outcome.answer.status) == (Verdict.ERROR, 503)


def test_a_token_has_no_idle_limit_and_no_lifespan_of_sessions() -> None:
    old = replace(
        A_TOKEN,
        issued_at=NOW - 80 * 86_400,
        authenticated_at=NOW - 80 * 86_400,
        last_seen_at=NOW - 80 * 86_400,
        expires_at=NOW + 1,
    )

    assert isinstance(evaluate(head(BEARER, target="/both/x"), old), Forward)


def test_its_use_is_written_at_intervals_and_no_cookie_is_set() -> None:
    seen = NOW - TOKEN_SEEN_EVERY

    again = evaluate(head(BEARER, target="/both/x"))
    late = evaluate(head(BEARER, target="/both/x"), replace(A_TOKEN, last_seen_at=seen))

    assert isinstance(again, Forward)
    assert again.write is None
    assert isinstance(late, Forward)
    assert late.write is not None
    assert late.write.new == replace(A_TOKEN, last_seen_at=NOW)
    assert list(late.set_cookies) == []


@pytest.mark.parametrize("ahead", [0.0, 30.0])
def test_its_first_use_is_written_at_once_unless_it_was_made_by_a_clock_ahead(
    ahead: float,
) -> None:
    fresh = replace(A_TOKEN, issued_at=NOW - 1 + ahead, last_seen_at=NOW - 1 + ahead)

    outcome = evaluate(head(BEARER, target="/both/x"), fresh)

    assert isinstance(outcome, Forward)
    assert (outcome.write is None) is (ahead > 1)
    assert outcome.plan is None


# What the upstream gets


def test_the_upstream_gets_the_identity_and_never_the_token() -> None:
    fields = sent(evaluate(head(BEARER, target="/both/x")))

    assert fields[b"X-Auth-User-Id"] == A_TOKEN.identity.id.encode()
    assert not any(TOKEN.value.encode() in value for value in fields.values())
    assert b"Authorization" not in fields


@pytest.mark.parametrize(
    "field", [BEARER, basic(TOKEN.value), ("Authorization", "Bearer of-the-app"), ("AUTHORIZATION", "Digest x")]
)  # fmt: skip
def test_the_field_is_not_forwarded_where_it_is_taken(field: tuple[str, str]) -> None:
    fields = sent(evaluate(head(field, target="/open/x")))

    assert not {b"authorization"} & {name.lower() for name in fields}


async def test_the_field_is_forwarded_as_before_where_the_cookie_alone_is_taken() -> (
    None
):
    upstreams = {"web": {"url": "http://127.0.0.1:1"}}
    routes = [each for each in ROUTES if each["upstream"] == "web"]
    plain = a_runtime(routes=routes, upstreams=upstreams, tokens={}).rules
    request = head(BEARER, cookie(COOKIE), target="/person/x")

    step = before_lookup(request, plain, now=NOW)
    assert isinstance(step, Lookup)
    outcome = after_lookup(step, a_session(), plain, now=NOW, nonce="0" * 32)

    assert sent(outcome)[b"Authorization"] == BEARER[1].encode()


def test_the_token_of_the_upstream_takes_its_place() -> None:
    fields = evaluate(head(BEARER, target="/all/x"))

    assert sent(fields)[b"Authorization"].startswith(b"Bearer eyJ")


# What a token may not do


@pytest.mark.parametrize("path", ["/strong/x", "/recent/x"])
def test_a_route_for_users_who_signed_in_refuses_a_token(path: str) -> None:
    outcome = evaluate(head(BEARER, HTML, target=path))

    assert isinstance(outcome, Respond)
    assert (outcome.verdict, outcome.reason) == (Verdict.DENY, Reason.TOKEN_NOT_ALLOWED)
    assert outcome.answer.status == 403


def test_such_a_route_takes_the_cookie_as_before() -> None:
    session = a_session(authenticated_at=NOW)

    assert isinstance(
        evaluate(head(cookie(COOKIE), target="/recent/x"), session), Forward
    )


def test_an_administrator_is_one_by_role() -> None:
    member = replace(A_TOKEN.identity, roles=("member",))

    refused = evaluate(
        head(BEARER, target="/admin/x"), replace(A_TOKEN, identity=member)
    )

    assert refused.reason is Reason.NOT_ADMIN  # type: ignore[union-attr]
    assert isinstance(evaluate(head(BEARER, target="/admin/x")), Forward)


@pytest.mark.parametrize(
    ("field", "allowed"), [(BEARER, True), (basic(TOKEN.value), False)]
)
@pytest.mark.parametrize("first", [True, False])
def test_another_site_cannot_send_a_bearer_token_but_a_password(
    field: tuple[str, str], allowed: bool, first: bool
) -> None:
    crossed = ("Sec-Fetch-Site", "cross-site")
    if not first:  # by the other scheme before: a plan is of the session, not of that
        other = basic(TOKEN.value) if field == BEARER else BEARER
        evaluate(head(other, target="/strict/x", method="POST"))

    outcome = evaluate(head(field, crossed, target="/strict/x", method="POST"))

    assert isinstance(outcome, Forward) is allowed
    assert outcome.reason is (Reason.SIGNED_IN if allowed else Reason.CROSS_SITE)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/.gateway/logout"),
        ("POST", "/.gateway/tenant"),
        ("GET", "/.gateway/account"),
        ("POST", "/.gateway/account/end"),
        ("POST", "/.gateway/account/end-others"),
        ("GET", "/.gateway/sessions"),
        ("DELETE", "/.gateway/sessions"),
        ("DELETE", "/.gateway/sessions/x"),
        ("GET", "/.gateway/self-service/logout/browser"),
    ],
)
@pytest.mark.parametrize("extra", [(), (cookie(COOKIE),)])
def test_what_is_for_users_is_refused(
    method: str, path: str, extra: tuple[tuple[str, str], ...]
) -> None:
    outcome = evaluate(head(BEARER, *extra, target=path, method=method))

    assert isinstance(outcome, Respond)
    assert (outcome.answer.status, outcome.reason) == (403, Reason.TOKEN_NOT_ALLOWED)


@pytest.mark.parametrize("field", [("Authorization", "Basic eDp5"), ("Accept", "*/*")])
def test_an_authorization_of_others_changes_nothing_there(
    field: tuple[str, str],
) -> None:
    outcome = evaluate(head(field, target="/.gateway/logout", method="POST"))

    assert isinstance(outcome, Local)


# What a 401 says


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("/person/x", [], ["Session"]),
        ("/both/x", [], ["Bearer", "Session"]),
        ("/bearer/x", [], ["Bearer"]),
        ("/basic/x", [], ["Basic"]),
        ("/all/x", [], ["Bearer", "Basic", "Session"]),
        # A page that fetches something must not open the browser's password dialog.
        ("/all/x", [("Sec-Fetch-Mode", "cors")], ["Bearer", "Session"]),
        ("/all/x", [("X-Requested-With", "XMLHttpRequest")], ["Bearer", "Session"]),
        ("/basic/x", [("Sec-Fetch-Mode", "cors")], ["Basic"]),
    ],
)
def test_a_401_names_what_the_route_takes(
    path: str, fields: list[tuple[str, str]], expected: list[str]
) -> None:
    found = challenges(evaluate(head(*fields, target=path)))

    assert [each.split(" ")[0] for each in found] == expected
    # RFC 6750, section 3.1: no error for a request without a credential.
    assert not any("error" in each for each in found)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ([("Authorization", "Bearer x")], "invalid_token"),
        ([BEARER, BEARER], "invalid_request"),
        ([BEARER, cookie(COOKIE)], "invalid_request"),
    ],
)
def test_the_error_is_that_of_the_rfc(
    fields: list[tuple[str, str]], error: str
) -> None:
    (first, *_) = challenges(evaluate(head(*fields, target="/both/x")))

    assert f'error="{error}"' in first


def test_a_page_is_redirected_only_without_a_token() -> None:
    outcome = evaluate(head(HTML, target="/both/x"))
    only_tokens = evaluate(head(HTML, target="/bearer/x"))

    assert isinstance(outcome, Respond)
    assert outcome.answer.status == 302
    assert isinstance(only_tokens, Respond)
    assert only_tokens.answer.status == 401


# Open streams after a reload


@pytest.mark.parametrize(
    ("path", "who", "admitted"),
    [
        ("/both/x", A_TOKEN, True),
        ("/person/x", A_TOKEN, False),
        ("/basic/x", A_TOKEN, False),
        ("/both/x", a_session(), True),
        ("/bearer/x", a_session(), False),
    ],
)
def test_a_stream_goes_on_where_its_credential_is_taken(
    path: str, who: Session, admitted: bool
) -> None:
    field = BEARER if who is A_TOKEN else cookie(COOKIE)
    found = reconsider(
        head(field, target=path),
        rules(),
        Authenticated(session=who, key=TOKEN.key),
        now=NOW,
    )

    assert isinstance(found, Reason) is not admitted


def test_anonymous_stays_anonymous() -> None:
    gone = Anonymous(reason=Reason.SESSION_REVOKED)

    found = reconsider(head(BEARER, target="/both/x"), rules(), gone, now=NOW)

    assert found is Reason.SESSION_REVOKED


def test_a_route_of_this_configuration_has_each_rule() -> None:
    assert {plan.route.rule for plan in rules().plans.values()} >= {
        Rule.PUBLIC,
        Rule.PROTECTED,
        Rule.ADMIN_ONLY,
    }
