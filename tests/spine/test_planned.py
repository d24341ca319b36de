"""A plan says what a full evaluation would say: for no other session, request or time."""

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.build.rules import build_rules
from gateway.decision import CHECKS, AccessRequest, checks_of
from gateway.http.head import RequestHead
from gateway.interval import Interval
from gateway.reasons import Reason
from gateway.routes.model import Require, Route, Rule
from gateway.sessions.authenticate import Authenticated
from gateway.sessions.cookie import SessionToken, new_token
from gateway.sessions.record import Identity, Session
from gateway.spine.evaluate import after_lookup, before_lookup, repeats
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond
from gateway.spine.ruleset import Ruleset
from gateway.spine.session_plan import PLANS_BYTES
from gateway.tokens.minter import Issued
from gateway.tokens.subject import Membership, Subject
from tests.http.heads import BEHIND_PROXY, REQUEST_ID, TRACEPARENT, head
from tests.server.parts import cookie, loaded
from tests.sessions.samples import NOW, a_session

ADA, BOB = new_token(bytes([1]) * 32), new_token(bytes([2]) * 32)


class Stamps:
    """Tokens that say all they depend on, so that two of them can be compared.

    One of the two profiles needs a tenant. A token is new every 30 seconds.
    """

    def token(
        self,
        profile: str,
        session: Subject,
        tenant: Membership | None,
        now: float,
        jti: str,
    ) -> Issued | None:
        if profile == "database" and tenant is None:
            return None
        since = now // 30 * 30
        parts = (profile, session.id, session.version, tenant and tenant.id, since)
        token = "/".join(map(str, parts))
        return Issued(token, signed=jti == "first", lasts=Interval(since, since + 30))


def some_rules(**changes: Any) -> Ruleset:
    profiles = {
        "database": {
            "audience": "postgrest",
            "header": "Authorization",
            "claims": {"tenant_id": "{tenant.id}"},
        },
        "assertion": {"audience": "web", "header": "X-Auth-Assertion"},
    }
    document: dict[str, Any] = {
        "server": {"public_url": "https://app.example", "trusted_proxies": ["10.0.0.0/8"]},
        "sessions": {"lifespan": "8h", "idle_timeout": "10m", "extend_within": "1h"},
        "tokens": {"issuer": "https://app.example", "profiles": profiles},
        "upstreams": {
            "web": {"url": "http://127.0.0.1:1", "token": "assertion"},
            "api": {"url": "http://127.0.0.1:1", "token": "database", "strip_prefix": "/api"},
            "plain": {"url": "http://127.0.0.1:1"},
            "team": {"url": "http://127.0.0.1:1", "token": "database"},
        },
        "routes": [
            {"match": "/**", "rule": "public", "upstream": "web"},
            {"match": "/api/**", "rule": "protected", "upstream": "api"},
            {"match": "/forms/**", "rule": "protected", "cross_site": "refuse", "upstream": "web"},
            {"match": {"path": "/forms/**", "methods": ["PUT"]}, "rule": "public", "cross_site": "refuse", "upstream": "web"},
            {"match": "/near/**", "rule": "protected", "upstream": "plain", "require": {"networks": ["192.0.2.0/24"]}},
            {"match": "/fresh/**", "rule": "protected", "upstream": "plain", "require": {"authenticated_within": "5m"}},
            {"match": "/strong/**", "rule": "protected", "upstream": "plain", "require": {"aal": "aal2"}},
            {"match": "/team/**", "rule": "protected", "upstream": "web", "require": {"tenant_roles": ["owner"]}},
            {"match": "/t/{tenant}/**", "rule": "protected", "upstream": "team"},
            {"match": "/admin/**", "rule": "admin-only", "upstream": "plain"},
            {"match": "/login/**", "rule": "auth-redirect", "upstream": "plain"},
        ],
        "roles": {"admin": ["admin"]},
    }  # fmt: skip
    return build_rules(loaded(**document | changes), external=None, issuer=Stamps())


TENANTS = {
    "resolve": ["session", {"host": "{tenant}.example.com"}, {"path": "/t/{tenant}/**"}]
}
RULES = some_rules()
BY_REQUEST = some_rules(tenants=TENANTS)


def evaluate(
    request: RequestHead,
    found: Session,
    rules: Ruleset,
    *,
    now: float = NOW,
    nonce: str = "first",
) -> Outcome:
    step = before_lookup(request, rules, now=now)
    if isinstance(step, Lookup):
        return after_lookup(step, found, rules, now=now, nonce=nonce)
    return step


def in_full(
    request: RequestHead, found: Session, rules: Ruleset, now: float
) -> Outcome:
    # A copy has no plans.
    return evaluate(request, found, replace(rules), now=now)


def described(outcome: Outcome) -> object:
    """Everything of an outcome but whether a token was signed just now, and its plan."""
    match outcome:
        case Forward():
            return (
                # By a plan it was made by an earlier request.
                (
                    replace(outcome.access, now=NOW),
                    outcome.reason,
                    outcome.view.name,
                    outcome.write,
                ),
                (
                    outcome.outbound.encode(REQUEST_ID, TRACEPARENT),
                    tuple(outcome.set_cookies),
                ),
                tuple(use.profile for use in outcome.tokens),
            )
        case Respond() | Local():
            return outcome


# Any requests, records and times

SESSION = a_session()
VARIANTS: list[dict[str, Any]] = [
    {},
    {"active": False},
    {"aal": "aal2"},
    {"active_tenant_id": "t_beta"},
    {"active_tenant_id": None},
    {"active_tenant_id": "t_gone"},
    {"tenants": {}},
    {"expires_at": NOW + 30.5},
    {"expires_at": NOW + 3600 + 45},
    {"last_seen_at": NOW - 30},
    {"authenticated_at": NOW - 290.25},
    {"authenticated_at": NOW + 70},
    {"identity": Identity(id="u_ada", traits={"email": "a@b"}, roles=("member",))},
]


def records(token: SessionToken) -> list[Session]:
    who = (
        {} if token is ADA else {"identity": Identity(id="u_bob", traits={}, roles=())}
    )
    number = "1" if token is ADA else "2"
    return [
        a_session(
            **({"id": f"5f0d2c3e-0000-4000-8000-00000000000{number}"} | who | each)
        )
        for each in VARIANTS
    ]


RECORDS = {token: records(token) for token in (ADA, BOB)}
PATHS = [
    "/",
    "/a?b",
    "/api/x",
    "/api/y",
    "/forms/x",
    "/near/x",
    "/fresh/x",
    "/strong/x",
]
PATHS += ["/team/x", "/t/t_acme/x", "/t/t_beta/x", "/t/other/x", "/admin/x", "/login/x"]
PATHS += ["/apix"]
CROSSING = [(("Sec-Fetch-Site", "cross-site"),)]
CHECKED = ["/forms/x", "/near/x"]  # their checks read the request
FIELDS = [
    (),
    (("Sec-Fetch-Site", "cross-site"),),
    (("Sec-Fetch-Site", "same-origin"),),
    (("Origin", "https://evil.example"),),
    (("X-Forwarded-For", "192.0.2.9"),),
    (("X-Auth-User-Id", "root"), ("X-Mine", "1")),
    (("Connection", "Cookie"),),
    (("Accept", "text/html"),),
]


@dataclass(frozen=True)
class Step:
    """A request of a session whose record is one of its variants, at a time."""

    token: SessionToken
    request: RequestHead
    variant: int
    copied: bool
    later: float


@st.composite
def stories(draw: st.DrawFn) -> list[Step]:
    """Requests at one or two paths, so that plans are made, used and outdated."""
    paths = draw(st.lists(st.sampled_from(PATHS + CHECKED * 4), min_size=1, max_size=2))
    variants = draw(st.lists(st.integers(0, len(VARIANTS) - 1), max_size=2))
    # Around what happens at some time, to a quarter of a second; also backwards.
    around = draw(st.sampled_from([0, 0, 10, 20, 30, 60, 70, 300, 600, 3600, 28_800]))
    return [
        Step(
            token=(token := draw(st.sampled_from([ADA, ADA, BOB]))),
            request=head(
                cookie(token),
                *draw(st.sampled_from([(), ()] + FIELDS + CROSSING * 6)),
                method=draw(
                    st.sampled_from(["GET", "GET", "DELETE", "POST", "PUT", "OPTIONS"])
                ),
                target=draw(st.sampled_from(paths)),
                host=draw(st.sampled_from(["app.example", "t_beta.example.com"])),
                peer=draw(st.sampled_from(["192.0.2.7", "192.0.2.7", "10.0.0.1"])),
                rules=BEHIND_PROXY,
            ),
            variant=draw(st.sampled_from([0, 0, *variants])),
            copied=draw(st.sampled_from([False, False, False, True])),
            later=draw(st.sampled_from([0, around])) + draw(st.integers(-2, 2)) / 4,
        )
        for _ in range(draw(st.integers(2, 8)))
    ]


@pytest.mark.parametrize("rules", [RULES, BY_REQUEST], ids=["session", "request"])
@given(story=stories())
def test_a_plan_gives_what_a_full_evaluation_gives(
    rules: Ruleset, story: list[Step]
) -> None:
    planning = replace(rules)
    for step in story:
        record, now = RECORDS[step.token][step.variant], NOW + step.later
        if step.copied:
            record = replace(record)

        by_plan = evaluate(step.request, record, planning, now=now)

        assert described(by_plan) == described(
            in_full(step.request, record, rules, now)
        )


@pytest.mark.parametrize("rules", [RULES, BY_REQUEST], ids=["session", "request"])
@given(story=stories())
def test_a_request_that_was_received_before_is_answered_as_a_new_one(
    rules: Ruleset, story: list[Step]
) -> None:
    """The result of the first half is kept with the request, as the server keeps it."""
    planning, kept = replace(rules), list[tuple[RequestHead, Lookup]]()
    for step in story * 2:
        record, now = RECORDS[step.token][step.variant], NOW + step.later
        if step.copied:
            record = replace(record)
        known = [lookup for request, lookup in kept if request == step.request]
        first = known[0] if known else before_lookup(step.request, planning, now=now)
        outcome: Outcome | Lookup = first
        if isinstance(first, Lookup):
            kept.append((step.request, first))
            outcome = after_lookup(first, record, planning, now=now, nonce="first")

        assert not isinstance(outcome, Lookup)
        assert described(outcome) == described(
            in_full(step.request, record, rules, now)
        )


@pytest.mark.parametrize("rules", [RULES, BY_REQUEST], ids=["session", "request"])
@given(story=stories(), signed_in=st.booleans())
def test_what_repeats_is_the_same_at_any_time(
    rules: Ruleset, story: list[Step], signed_in: bool
) -> None:
    for step in story:
        request = step.request if signed_in else replace(step.request, cookies=())
        first = before_lookup(request, rules, now=NOW)
        later = before_lookup(request, rules, now=NOW + step.later)

        if repeats(first, rules):
            assert described_first(first) == described_first(later)
        else:
            assert not isinstance(first, Lookup)


def described_first(step: Outcome | Lookup) -> object:
    return step if isinstance(step, Lookup) else described(step)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(head(target="/public"), True, id="no cookie"),
        pytest.param(head(cookie(ADA), target="/static/a"), True, id="a route that ignores sessions"),
        pytest.param(head(cookie(ADA), target="/public"), True, id="a session decides"),
        pytest.param(head(cookie("forged"), target="/public"), False, id="a cookie that is not valid"),
        pytest.param(head(target="/api/x"), False, id="refused"),
        pytest.param(head(target="/.gateway/health"), False, id="the gateway answers"),
    ],
)  # fmt: skip
def test_a_request_repeats_if_nothing_is_counted_or_refused(
    request_: RequestHead, expected: bool
) -> None:
    static = {"match": "/static/**", "rule": "public", "session": "ignore"}
    public = {"match": "/public", "rule": "public"}
    to = {"upstream": "plain"}
    api = {"match": "/api/**", "rule": "protected"}
    rules = some_rules(routes=[static | to, public | to, api | to])

    assert repeats(before_lookup(request_, rules, now=NOW), rules) is expected


def test_the_same_request_has_the_same_outcome_while_its_plan_holds() -> None:
    rules, request = planning(), get("/fresh/x")
    lookup = before_lookup(request, rules, now=NOW)
    assert isinstance(lookup, Lookup)
    record = a_session(authenticated_at=NOW - 290.25)

    def found(record: Session, now: float) -> Outcome:
        return after_lookup(lookup, record, rules, now=now, nonce="first")

    found(record, NOW)
    planned = found(record, NOW)
    assert found(record, NOW + 5) is planned
    assert found(replace(record), NOW) is not planned
    assert isinstance(found(record, NOW + 15), Respond)


# What a plan must not serve


def planning(rules: Ruleset = RULES) -> Ruleset:
    return replace(rules)


def is_planned(request: RequestHead, rules: Ruleset, now: float = NOW) -> bool:
    """Whether the request is forwarded by a plan: such an outcome makes no other."""
    outcome = evaluate(request, SESSION, rules, now=now)
    return isinstance(outcome, Forward) and outcome.plan is None


def get(target: str, *fields: tuple[str, str], **more: Any) -> RequestHead:
    return head(cookie(ADA), *fields, target=target, **more)


def test_the_second_request_of_a_session_at_a_route_is_planned() -> None:
    rules = planning()

    assert not is_planned(get("/api/x"), rules)
    assert is_planned(get("/api/x"), rules)
    assert is_planned(get("/api/other?q", ("X-New", "1")), rules)
    assert not is_planned(get("/forms/x"), rules)


def test_a_get_plans_no_delete_from_another_site() -> None:
    rules = planning()
    assert not is_planned(get("/forms/x"), rules)
    assert is_planned(get("/forms/x"), rules)

    crossing = ("Sec-Fetch-Site", "cross-site")
    outcome = evaluate(get("/forms/x", crossing, method="DELETE"), SESSION, rules)

    assert isinstance(outcome, Respond)
    assert outcome.reason is Reason.CROSS_SITE


def test_a_plan_admits_no_other_network() -> None:
    rules = planning()
    assert not is_planned(get("/near/x"), rules)
    assert is_planned(get("/near/x"), rules)

    outcome = evaluate(get("/near/x", peer="198.51.100.1"), SESSION, rules)

    assert isinstance(outcome, Respond)
    assert outcome.reason is Reason.NETWORK_NOT_ALLOWED


def test_a_revoked_record_has_no_plan() -> None:
    rules = planning()
    assert not is_planned(get("/api/x"), rules)

    outcome = evaluate(get("/api/x"), replace(SESSION, active=False), rules)

    assert isinstance(outcome, Respond)
    assert outcome.reason is Reason.SESSION_REVOKED


def test_an_equal_record_is_another_record() -> None:
    rules = planning()
    evaluate(get("/api/x"), SESSION, rules)

    outcome = evaluate(get("/api/x"), replace(SESSION), rules)

    assert isinstance(outcome, Forward)
    assert outcome.plan is not None


@pytest.mark.parametrize("target", ["/t/t_beta/x", "/t/t_acme/x"])
def test_a_plan_of_one_tenant_serves_no_other(target: str) -> None:
    rules = planning(some_rules(tenants={"resolve": [{"path": "/t/{tenant}/**"}]}))
    for _ in range(2):
        for tenant in ("t_acme", "t_beta"):
            outcome = evaluate(get(f"/t/{tenant}/x"), SESSION, rules)

            assert isinstance(outcome, Forward)
            sent = dict(outcome.outbound.headers)
            assert sent[b"X-Auth-Tenant-Id"] == tenant.encode()
            assert b"/%b/" % tenant.encode() in sent[b"Authorization"]


def test_two_sessions_share_no_plan() -> None:
    rules = planning()
    for _ in range(2):
        for token, record in ((ADA, RECORDS[ADA][0]), (BOB, RECORDS[BOB][0])):
            request = head(cookie(token), target="/api/x")
            outcome = evaluate(request, record, rules)

            assert isinstance(outcome, Forward)
            sent = dict(outcome.outbound.headers)
            assert sent[b"X-Auth-User-Id"] == record.identity.id.encode()
            assert outcome.access.authentication == Authenticated(
                session=record, key=token.key
            )


def test_a_sign_in_page_has_no_plan() -> None:
    rules = planning()
    step_up = get("/login/x")

    evaluate(step_up, SESSION, rules)
    evaluate(step_up, SESSION, rules)

    assert len(rules.session_plans) == 0


def test_a_new_configuration_has_no_plans() -> None:
    rules = planning()
    evaluate(get("/api/x"), SESSION, rules)

    assert len(rules.session_plans) == 1
    assert len(some_rules().session_plans) == 0


ENDS = [
    pytest.param("/fresh/x", {"authenticated_at": NOW - 280}, 20, id="sign-in too old"),
    pytest.param("/api/x", {}, 30, id="next token"),
    pytest.param("/near/x", {"last_seen_at": NOW - 40}, 20, id="use is noted"),
    pytest.param("/near/x", {"expires_at": NOW + 3610}, 10, id="extension"),
]


@pytest.mark.parametrize(("target", "changes", "end"), ENDS)
def test_a_plan_ends(target: str, changes: dict[str, Any], end: float) -> None:
    rules, record = planning(), a_session(**changes)
    made = evaluate(get(target), record, rules)
    assert isinstance(made, Forward)
    assert made.plan is not None
    assert made.plan.lasts.until == NOW + end

    last = evaluate(get(target), record, rules, now=NOW + end - 0.25)
    after = evaluate(get(target), record, rules, now=NOW + end)

    assert isinstance(last, Forward)
    assert last.plan is None
    assert not made.plan.holds(record, NOW + end)
    assert described(after) == described(in_full(get(target), record, RULES, NOW + end))


def test_a_token_that_may_come_later_is_waited_for() -> None:
    """Without a tenant there is no token now; nothing says until when."""
    rules, record = planning(), a_session(active_tenant_id=None)

    for _ in range(2):
        evaluate(get("/api/x"), record, rules)

    assert len(rules.session_plans) == 0


def test_plans_do_not_pile_up_and_print_no_token() -> None:
    rules = planning()
    made = evaluate(get("/api/x"), SESSION, rules)
    for number in range(20_000):
        token = new_token(number.to_bytes(32, "big"))
        evaluate(head(cookie(token), target="/api/x"), SESSION, rules)
    assert isinstance(made, Forward)

    assert made.plan is not None
    assert made.plan.tokens
    assert "database/" not in repr(made.plan) + repr(rules.session_plans) + repr(rules)
    assert len(rules.session_plans) <= 8192
    assert len(rules.session_plans._older) <= 8192


def test_what_plans_grant_is_bounded_together() -> None:
    rules = planning()
    object.__setattr__(rules, "issuer", LongTokens())
    plans = rules.session_plans
    for number in range(2 * PLANS_BYTES // LongTokens.size + 200):
        token = new_token(number.to_bytes(32, "big"))
        evaluate(head(cookie(token), target="/"), SESSION, rules)

    for each in (plans, plans._older):
        assert 0 < sum(len(plan.granted) for plan in each.values()) <= PLANS_BYTES


class LongTokens:
    size = 7900

    def token(self, *about: object) -> Issued:
        lasts = Interval(NOW - 10, NOW + 60)
        return Issued("x" * self.size, signed=False, lasts=lasts)


# What a check says that it reads


class Unread:
    """Fails whoever reads it."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"{name} was read")

    def __sub__(self, other: object) -> Any:
        raise AssertionError("the time was read")

    __rsub__ = __lt__ = __le__ = __gt__ = __ge__ = __sub__


REQUIRES = st.builds(
    Require,
    roles=st.sampled_from([frozenset(), frozenset(("member",))]),
    tenant=st.booleans(),
    tenant_roles=st.sampled_from([frozenset(), frozenset(("owner",))]),
    authenticated_within=st.sampled_from([None, 300.0, inf]),
    aal=st.sampled_from([None, "aal1", "aal2"]),
)


@given(
    rule=st.sampled_from(Rule),
    require=REQUIRES,
    record=st.sampled_from(RECORDS[ADA]),
    refused=st.booleans(),
)
@example(rule=Rule.PROTECTED, require=Require(), record=SESSION, refused=True)
def test_a_check_reads_only_what_it_says(
    rule: Rule, require: Require, record: Session, refused: bool
) -> None:
    route = Route(
        id="x",
        path="/**",
        rule=rule,
        require=require,
        upstream="web",
        cross_site_refused=refused,
    )
    unread: Any = Unread()
    for check in checks_of(route):
        access = AccessRequest(
            route=route,
            authentication=Authenticated(session=record, key="k"),
            tenant=record.tenants.get("t_acme"),
            head=head() if check.reads_head else unread,
            now=unread if check.lasts is None else NOW,
            policy=RULES.policy,
        )
        check.failure(access)
    assert {check.description for check in CHECKS if check.reads_head} == {
        "sent from an allowed network",
        "not sent by another site",
        "not signed in, or on a page for signed-in users",
    }
