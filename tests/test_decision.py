"""The policy as a table: who asks for what, by which rule, and what is decided."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.decision import (
    AccessRequest,
    Allow,
    Challenge,
    Decision,
    Deny,
    ExemptPage,
    Policy,
    checks_of,
    decide,
    step_up_reason,
)
from gateway.http.authorization import CredentialKind
from gateway.http.head import HeadRules, RequestHead
from gateway.reasons import Reason
from gateway.routes.model import Require, Route, Rule
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.record import Identity, Tenant
from gateway.tenants import TenantRefused
from tests.http.heads import BEHIND_PROXY, head
from tests.sessions.samples import NOW, a_session

ORIGIN = "https://app.example"
POLICY = Policy(
    admin_roles=frozenset({"admin", "root"}),
    public_origin=ORIGIN,
    exempt_pages=(
        ExemptPage(path="/auth/step-up", query=frozenset({"refresh=true"})),
        ExemptPage(path="/auth/onboarding", query=frozenset()),
    ),
)

ACME = Tenant(id="t_acme", name="Acme", role="owner")
BLUE = Tenant(id="t_blue", name="Blue", role="member")
STRANGER = TenantRefused(reason=Reason.NOT_A_MEMBER)
TORN = TenantRefused(reason=Reason.TENANT_CONFLICT)


def signed_in(*roles: str, ago: float = 0, aal: str = "aal1") -> Authenticated:
    identity = Identity(id="u_ada", roles=roles)
    return Authenticated(
        session=a_session(identity=identity, authenticated_at=NOW - ago, aal=aal),
        key="k",
    )


MEMBER = signed_in("member")
ADMIN = signed_in("admin")
ROOT = signed_in("member", "root")
NO_ROLES = signed_in()
A_PROGRAM = Authenticated(session=a_session(token_name="ci", aal="aal3"), key="k")

GET = head()
POST = head(("Content-Length", "0"), method="POST")
FOREIGN_GET = head(("Sec-Fetch-Site", "cross-site"))
FOREIGN_POST = head(("Sec-Fetch-Site", "cross-site"), method="POST")
FOREIGN_ORIGIN = head(("Origin", "https://evil.example"), method="DELETE")
OWN_POST = head(("Sec-Fetch-Site", "same-origin"), method="POST")
FOREIGN_SOCKET = head(
    ("Origin", "https://evil.example"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw=="),
)
PREFLIGHT = head(
    ("Origin", "https://evil.example"),
    ("Access-Control-Request-Method", "DELETE"),
    method="OPTIONS",
)
OPTIONS = head(method="OPTIONS")
NOT_QUITE_PREFLIGHT = head(
    ("Origin", "https://evil.example"),
    ("Access-Control-Request-Method", "DELETE"),
    method="DELETE",
)


def route(rule: Rule = Rule.PROTECTED, **fields: Any) -> Route:
    """A route; what `Require` knows goes there."""
    require = {
        name: fields.pop(name)
        for name in (
            "roles",
            "tenant",
            "tenant_roles",
            "authenticated_within",
            "aal",
            "networks",
        )
        if name in fields
    }
    return Route(
        id="r",
        path="/**",
        rule=rule,
        upstream="web",
        require=Require(**require),
        **fields,
    )


def asked(
    wanted: Route,
    who: Authentication,
    tenant: Tenant | TenantRefused | None = None,
    request: RequestHead = GET,
) -> Decision:
    return decide(access(wanted, who, tenant, request), checks_of(wanted))


def access(
    wanted: Route,
    who: Authentication,
    tenant: Tenant | TenantRefused | None = None,
    request: RequestHead = GET,
) -> AccessRequest:
    return AccessRequest(
        route=wanted,
        authentication=who,
        tenant=tenant,
        head=request,
        now=NOW,
        policy=POLICY,
    )


def yes(
    who: Authenticated,
    tenant: Tenant | None = None,
    reason: Reason = Reason.SIGNED_IN,
) -> Allow:
    return Allow(reason=reason, session=who.session, tenant=tenant)


def no(reason: Reason) -> Deny:
    return Deny(reason=reason)


def again(reason: Reason) -> Challenge:
    return Challenge(reason=reason)


# Nobody: by every rule, with every reason why nobody is signed in

UNAUTHENTICATED = (
    Anonymous(reason=Reason.NO_SESSION),
    Anonymous(reason=Reason.MALFORMED),
    Anonymous(reason=Reason.BAD_SIGNATURE),
    Anonymous(reason=Reason.SESSION_UNREADABLE),
    Anonymous(reason=Reason.STORE_UNAVAILABLE),
    Anonymous(reason=Reason.UNKNOWN_SESSION, ended=True),
    Anonymous(reason=Reason.SESSION_EXPIRED, ended=True),
    Anonymous(reason=Reason.SESSION_IDLE, ended=True),
    Anonymous(reason=Reason.SESSION_REVOKED, ended=True),
)


@pytest.mark.parametrize(
    ("rule", "let_in"),
    [
        pytest.param(Rule.PROTECTED, None, id="protected"),
        pytest.param(Rule.ADMIN_ONLY, None, id="admin-only"),
        pytest.param(Rule.PUBLIC, Reason.PUBLIC, id="public"),
        pytest.param(Rule.AUTH_REDIRECT, Reason.NOT_SIGNED_IN, id="auth-redirect"),
    ],
)
@pytest.mark.parametrize(
    "who", [pytest.param(who, id=who.reason) for who in UNAUTHENTICATED]
)
def test_only_open_routes_need_no_authentication(
    rule: Rule, let_in: Reason | None, who: Anonymous
) -> None:
    decision = asked(route(rule), who)

    assert decision == (
        Challenge(reason=who.reason, ended=who.ended)
        if let_in is None
        else Allow(reason=let_in)
    )


# Somebody: by every rule and every requirement

PROTECTED, ADMIN_ONLY = Rule.PROTECTED, Rule.ADMIN_ONLY
TABLE = [
    # a valid session is enough
    pytest.param(route(), MEMBER, None, GET, yes(MEMBER), id="protected-member"),
    pytest.param(route(), NO_ROLES, None, GET, yes(NO_ROLES), id="protected-no-roles"),
    pytest.param(route(), MEMBER, ACME, GET, yes(MEMBER, ACME), id="protected-tenant"),
    pytest.param(
        route(), MEMBER, STRANGER, GET, no(Reason.NOT_A_MEMBER), id="protected-stranger"
    ),
    pytest.param(
        route(), ADMIN, STRANGER, GET, no(Reason.NOT_A_MEMBER), id="protected-admin-stranger"
    ),
    pytest.param(
        route(), MEMBER, TORN, GET, no(Reason.TENANT_CONFLICT), id="protected-two-tenants"
    ),
    # administrators
    pytest.param(route(ADMIN_ONLY), MEMBER, ACME, GET, no(Reason.NOT_ADMIN), id="admin-only-member"),
    pytest.param(route(ADMIN_ONLY), NO_ROLES, None, GET, no(Reason.NOT_ADMIN), id="admin-only-no-roles"),
    pytest.param(
        route(ADMIN_ONLY), signed_in("Admin", "admin ", "administrator"), None, GET,
        no(Reason.NOT_ADMIN), id="admin-only-nearly-admin",
    ),
    pytest.param(route(ADMIN_ONLY), ADMIN, None, GET, yes(ADMIN), id="admin-only-admin"),
    pytest.param(route(ADMIN_ONLY), ROOT, ACME, GET, yes(ROOT, ACME), id="admin-only-one-role-of-two"),
    pytest.param(
        route(ADMIN_ONLY), ADMIN, STRANGER, GET, no(Reason.NOT_A_MEMBER), id="admin-only-stranger"
    ),
    # roles
    pytest.param(
        route(roles=frozenset({"staff"})), ADMIN, ACME, GET,
        no(Reason.ROLE_MISSING), id="roles-admin-has-no-other",
    ),
    pytest.param(
        route(roles=frozenset({"staff"})), NO_ROLES, None, GET,
        no(Reason.ROLE_MISSING), id="roles-none",
    ),
    pytest.param(
        route(roles=frozenset({"staff", "member"})), MEMBER, None, GET,
        yes(MEMBER), id="roles-one-of-them",
    ),
    pytest.param(
        route(ADMIN_ONLY, roles=frozenset({"staff"})), ADMIN, None, GET,
        no(Reason.ROLE_MISSING), id="roles-beside-admin-only",
    ),
    pytest.param(
        route(ADMIN_ONLY, roles=frozenset({"member"})), MEMBER, None, GET,
        no(Reason.NOT_ADMIN), id="roles-do-not-make-an-admin",
    ),
    # a tenant
    pytest.param(route(tenant=True), MEMBER, None, GET, no(Reason.TENANT_MISSING), id="tenant-none"),
    pytest.param(route(tenant=True), ADMIN, None, GET, no(Reason.TENANT_MISSING), id="tenant-admin-has-none"),
    pytest.param(route(tenant=True), MEMBER, STRANGER, GET, no(Reason.NOT_A_MEMBER), id="tenant-stranger"),
    pytest.param(route(tenant=True), MEMBER, TORN, GET, no(Reason.TENANT_CONFLICT), id="tenant-two"),
    pytest.param(route(tenant=True), MEMBER, BLUE, GET, yes(MEMBER, BLUE), id="tenant-member"),
    # a role in the tenant
    pytest.param(
        route(tenant_roles=frozenset({"owner"})), MEMBER, None, GET,
        no(Reason.TENANT_MISSING), id="tenant-role-no-tenant",
    ),
    pytest.param(
        route(tenant_roles=frozenset({"owner"})), signed_in("owner"), BLUE, GET,
        no(Reason.TENANT_ROLE_MISSING), id="tenant-role-is-not-a-session-role",
    ),
    pytest.param(
        route(tenant_roles=frozenset({"owner"})), MEMBER, STRANGER, GET,
        no(Reason.NOT_A_MEMBER), id="tenant-role-stranger",
    ),
    pytest.param(
        route(tenant_roles=frozenset({"owner", "admin"})), MEMBER, ACME, GET,
        yes(MEMBER, ACME), id="tenant-role-owner",
    ),
    pytest.param(
        route(tenant=True, tenant_roles=frozenset({""})), MEMBER,
        Tenant(id="t", name="T", role=""), GET,
        yes(MEMBER, Tenant(id="t", name="T", role="")), id="tenant-role-is-compared-and-no-more",
    ),
    # how strongly
    pytest.param(route(aal="aal2"), MEMBER, None, GET, again(Reason.AAL_TOO_LOW), id="aal2-has-aal1"),
    pytest.param(
        route(aal="aal2"), signed_in(aal=""), None, GET, again(Reason.AAL_TOO_LOW), id="aal2-has-none"
    ),
    pytest.param(
        route(aal="aal3"), signed_in(aal="aal2"), None, GET, again(Reason.AAL_TOO_LOW), id="aal3-has-aal2"
    ),
    pytest.param(
        route(aal="aal2"), signed_in(aal="aal2"), None, GET, yes(signed_in(aal="aal2")), id="aal2-has-aal2"
    ),
    pytest.param(
        route(aal="aal2"), signed_in(aal="aal3"), None, GET, yes(signed_in(aal="aal3")), id="aal2-has-aal3"
    ),
    pytest.param(
        route(aal="aal2"), signed_in(aal="password"), None, GET, again(Reason.AAL_TOO_LOW),
        id="aal2-has-a-word-that-sorts-after-it",
    ),
    pytest.param(
        route(aal="aal1"), signed_in(aal="AAL3"), None, GET, again(Reason.AAL_TOO_LOW), id="aal1-has-no-such-level"
    ),
    # by a user who signed in
    *(
        pytest.param(
            replace(needs, credentials=frozenset(CredentialKind)), A_PROGRAM, None, GET,
            no(Reason.TOKEN_NOT_ALLOWED), id=f"no-token-{word}",
        )
        for word, needs in (
            ("strongly", route(aal="aal1")),
            ("recently", route(authenticated_within=900.0)),
        )
    ),
    pytest.param(
        replace(route(), credentials=frozenset(CredentialKind)), A_PROGRAM, None, GET,
        yes(A_PROGRAM), id="a-token",
    ),
    # how recently
    pytest.param(
        route(authenticated_within=900.0), signed_in(ago=900.5), None, GET,
        again(Reason.STEP_UP), id="recent-half-a-second-too-old",
    ),
    pytest.param(
        route(authenticated_within=900.0), signed_in(ago=900), None, GET,
        yes(signed_in(ago=900)), id="recent-to-the-second",
    ),
    pytest.param(
        route(authenticated_within=900.0), signed_in(ago=-30), None, GET,
        yes(signed_in(ago=-30)), id="recent-by-a-clock-ahead",
    ),
    pytest.param(
        route(authenticated_within=900.0), signed_in(ago=-60.5), None, GET,
        again(Reason.STEP_UP), id="recent-not-in-the-future",
    ),
    pytest.param(
        route(authenticated_within=86_400.0), signed_in(ago=-1e9), None, GET,
        again(Reason.STEP_UP), id="recent-not-in-another-age",
    ),
    pytest.param(route(), signed_in(ago=-1e9), None, GET, yes(signed_in(ago=-1e9)), id="no-age-asked-for"),
    pytest.param(
        route(authenticated_within=0.0), signed_in(ago=1), None, GET,
        again(Reason.STEP_UP), id="recent-nought-is-a-limit-too",
    ),
    # another site
    pytest.param(
        route(cross_site_refused=True), MEMBER, None, FOREIGN_POST,
        no(Reason.CROSS_SITE), id="cross-site-post",
    ),
    pytest.param(
        route(cross_site_refused=True), ADMIN, ACME, FOREIGN_ORIGIN,
        no(Reason.CROSS_SITE), id="cross-site-by-origin",
    ),
    pytest.param(
        route(cross_site_refused=True), MEMBER, None, FOREIGN_SOCKET,
        no(Reason.CROSS_SITE), id="cross-site-websocket",
    ),
    pytest.param(route(cross_site_refused=True), MEMBER, None, FOREIGN_GET, yes(MEMBER), id="cross-site-link"),
    pytest.param(route(cross_site_refused=True), MEMBER, None, OWN_POST, yes(MEMBER), id="own-site-post"),
    pytest.param(route(cross_site_refused=True), MEMBER, None, POST, yes(MEMBER), id="post-of-no-browser"),
    pytest.param(
        route(cross_site_refused=True), Anonymous(reason=Reason.NO_SESSION), None, FOREIGN_POST,
        no(Reason.CROSS_SITE), id="cross-site-nobody",
    ),
    pytest.param(
        route(Rule.PUBLIC, cross_site_refused=True), Anonymous(reason=Reason.NO_SESSION), None, FOREIGN_ORIGIN,
        no(Reason.CROSS_SITE), id="cross-site-public",
    ),
    pytest.param(
        route(Rule.AUTH_REDIRECT, cross_site_refused=True), Anonymous(reason=Reason.NO_SESSION), None,
        FOREIGN_POST, no(Reason.CROSS_SITE), id="cross-site-sign-in-form",
    ),
    pytest.param(
        route(cross_site_refused=True, preflight_pass=True), Anonymous(reason=Reason.NO_SESSION), None, PREFLIGHT,
        Allow(reason=Reason.PREFLIGHT), id="cross-site-preflight",
    ),
    pytest.param(route(), MEMBER, None, FOREIGN_POST, yes(MEMBER), id="cross-site-not-asked"),
    # which comes first
    pytest.param(
        route(ADMIN_ONLY, cross_site_refused=True, tenant=True, aal="aal2"), MEMBER, None, FOREIGN_POST,
        no(Reason.CROSS_SITE), id="first-cross-site",
    ),
    pytest.param(
        route(ADMIN_ONLY, tenant=True, aal="aal2"), MEMBER, STRANGER, GET,
        no(Reason.NOT_ADMIN), id="then-admin",
    ),
    pytest.param(
        route(tenant=True, aal="aal2", authenticated_within=1.0), signed_in(ago=9), None, GET,
        no(Reason.TENANT_MISSING), id="no-sign-in-again-for-what-it-would-not-open",
    ),
    pytest.param(
        route(aal="aal2", authenticated_within=1.0), signed_in(ago=9), None, GET,
        again(Reason.AAL_TOO_LOW), id="then-strength",
    ),
    # open to all: a session is told, and narrows nothing
    pytest.param(
        route(Rule.PUBLIC), MEMBER, ACME, GET, yes(MEMBER, ACME, Reason.PUBLIC), id="public-member"
    ),
    pytest.param(
        route(Rule.PUBLIC), MEMBER, STRANGER, GET, yes(MEMBER, None, Reason.PUBLIC), id="public-stranger"
    ),
    pytest.param(
        route(Rule.PUBLIC), MEMBER, TORN, FOREIGN_POST, yes(MEMBER, None, Reason.PUBLIC), id="public-two-tenants"
    ),
    # only for who is not signed in
    pytest.param(
        route(Rule.AUTH_REDIRECT), MEMBER, ACME, GET, no(Reason.ALREADY_SIGNED_IN), id="auth-redirect-member"
    ),
    pytest.param(
        route(Rule.AUTH_REDIRECT), MEMBER, STRANGER, GET,
        no(Reason.ALREADY_SIGNED_IN), id="auth-redirect-stranger",
    ),
    pytest.param(
        route(Rule.AUTH_REDIRECT), MEMBER, None, head(target="/auth/step-up"),
        no(Reason.ALREADY_SIGNED_IN), id="errand-without-its-query",
    ),
    pytest.param(
        route(Rule.AUTH_REDIRECT), MEMBER, None, head(target="/auth/step-up?refresh=truer"),
        no(Reason.ALREADY_SIGNED_IN), id="errand-with-another-query",
    ),
    pytest.param(
        route(Rule.AUTH_REDIRECT), MEMBER, None, head(target="/auth/onboarding/2"),
        no(Reason.ALREADY_SIGNED_IN), id="errand-below",
    ),
    pytest.param(
        route(Rule.AUTH_REDIRECT), MEMBER, ACME, head(target="/auth/step-up?a=b&refresh=true"),
        yes(MEMBER, ACME), id="errand-step-up",
    ),
    pytest.param(
        route(Rule.AUTH_REDIRECT), MEMBER, STRANGER, head(target="/auth/onboarding?x"),
        yes(MEMBER), id="errand-choose-a-tenant",
    ),
    # preflights
    pytest.param(
        route(ADMIN_ONLY, preflight_pass=True), MEMBER, ACME, PREFLIGHT,
        Allow(reason=Reason.PREFLIGHT), id="preflight-passes-as-nobody",
    ),
    pytest.param(
        route(preflight_pass=True), Anonymous(reason=Reason.NO_SESSION), None, OPTIONS,
        again(Reason.NO_SESSION), id="options-is-no-preflight",
    ),
    pytest.param(
        route(preflight_pass=True), Anonymous(reason=Reason.NO_SESSION), None, NOT_QUITE_PREFLIGHT,
        again(Reason.NO_SESSION), id="its-headers-on-a-delete-are-none",
    ),
    pytest.param(
        route(), Anonymous(reason=Reason.NO_SESSION), None, PREFLIGHT,
        again(Reason.NO_SESSION), id="preflight-checked",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "who", "tenant", "request_", "expected"), TABLE)
def test_the_decision_is_that_of_the_table(
    wanted: Route,
    who: Authentication,
    tenant: Tenant | TenantRefused | None,
    request_: RequestHead,
    expected: Decision,
) -> None:
    assert asked(wanted, who, tenant, request_) == expected


YES = {Reason.PUBLIC, Reason.SIGNED_IN, Reason.NOT_SIGNED_IN, Reason.PREFLIGHT}
NO = {
    Reason.CROSS_SITE,
    Reason.NOT_ADMIN,
    Reason.ROLE_MISSING,
    Reason.NOT_A_MEMBER,
    Reason.TENANT_CONFLICT,
    Reason.TENANT_MISSING,
    Reason.TENANT_ROLE_MISSING,
    Reason.AAL_TOO_LOW,
    Reason.STEP_UP,
    Reason.ALREADY_SIGNED_IN,
}


def test_the_table_has_a_row_for_every_word() -> None:
    decisions = [row.values[4] for row in TABLE]
    reported = {each.reason for each in decisions if isinstance(each, Decision)}

    assert reported >= YES - {Reason.NOT_SIGNED_IN} | NO


# The laws

CALLERS = st.one_of(
    st.sampled_from(UNAUTHENTICATED),
    st.builds(
        lambda roles, ago, aal: signed_in(*roles, ago=ago, aal=aal),
        st.lists(st.sampled_from(["admin", "root", "staff", "member", ""]), max_size=3),
        st.sampled_from([-60.0, 0.0, 59.0, 61.0, 1e6]),
        st.sampled_from(["", "aal1", "aal2", "aal3", "zzz"]),
    ),
)
TENANTS = st.sampled_from([None, ACME, BLUE, STRANGER, TORN])
REQUESTS = st.sampled_from(
    [GET, POST, FOREIGN_GET, FOREIGN_POST, FOREIGN_ORIGIN, OWN_POST, FOREIGN_SOCKET]
    + [PREFLIGHT, OPTIONS, NOT_QUITE_PREFLIGHT, head(target="/auth/onboarding")]
)
REQUIRES = st.builds(
    Require,
    roles=st.frozensets(st.sampled_from(["admin", "staff"])),
    tenant=st.booleans(),
    tenant_roles=st.frozensets(st.sampled_from(["owner", "member"])),
    authenticated_within=st.sampled_from([None, 0.0, 60.0]),
    aal=st.sampled_from([None, "aal1", "aal2", "aal3"]),
)
ROUTES = st.builds(
    Route,
    id=st.just("r"),
    path=st.just("/**"),
    upstream=st.just("web"),
    rule=st.sampled_from(Rule),
    require=REQUIRES,
    cross_site_refused=st.booleans(),
    preflight_pass=st.booleans(),
)
NARROWER = st.sampled_from(
    [
        {"tenant": True},
        {"roles": frozenset({"staff"})},
        {"tenant_roles": frozenset({"owner"})},
        {"authenticated_within": 60.0},
        {"aal": "aal2"},
    ]
)


@given(
    wanted=ROUTES,
    who=st.sampled_from(UNAUTHENTICATED),
    tenant=TENANTS,
    request=REQUESTS,
)
def test_unauthenticated_requests_pass_only_at_open_routes(
    wanted: Route,
    who: Anonymous,
    tenant: Tenant | TenantRefused | None,
    request: RequestHead,
) -> None:
    """Law 3."""
    decision = asked(wanted, who, tenant, request)

    if isinstance(decision, Allow):
        assert (
            wanted.rule in {Rule.PUBLIC, Rule.AUTH_REDIRECT}
            or (request.preflight and wanted.preflight_pass)
        )  # fmt: skip
        assert (decision.session, decision.tenant) == (None, None)


@given(wanted=ROUTES, who=CALLERS, tenant=TENANTS, request=REQUESTS, more=NARROWER)
@example(wanted=route(), who=NO_ROLES, tenant=None, request=GET, more={"tenant": True})
def test_to_require_more_never_lets_more_in(
    wanted: Route,
    who: Authentication,
    tenant: Tenant | TenantRefused | None,
    request: RequestHead,
    more: dict[str, Any],
) -> None:
    """Law 3: what was not required before and is now can only be one more no."""
    name = next(iter(more))
    before = replace(wanted, require=replace(wanted.require, **{name: _nothing(name)}))
    after = replace(before, require=replace(before.require, **more))

    if isinstance(asked(after, who, tenant, request), Allow):
        assert isinstance(asked(before, who, tenant, request), Allow)


@given(wanted=ROUTES, who=CALLERS, tenant=TENANTS, request=REQUESTS)
def test_stricter_rules_let_no_more_in(
    wanted: Route,
    who: Authentication,
    tenant: Tenant | TenantRefused | None,
    request: RequestHead,
) -> None:
    order = [
        replace(wanted, rule=Rule.ADMIN_ONLY, cross_site_refused=True),
        replace(wanted, rule=Rule.ADMIN_ONLY, cross_site_refused=False),
        replace(wanted, rule=Rule.PROTECTED, cross_site_refused=False),
        replace(wanted, rule=Rule.PUBLIC, cross_site_refused=False),
    ]

    passed = [isinstance(asked(one, who, tenant, request), Allow) for one in order]

    assert passed == sorted(passed)


@given(wanted=ROUTES, who=CALLERS, tenant=TENANTS, request=REQUESTS)
def test_what_is_decided_has_a_known_word_and_is_decided_again(
    wanted: Route,
    who: Authentication,
    tenant: Tenant | TenantRefused | None,
    request: RequestHead,
) -> None:
    decision = asked(wanted, who, tenant, request)

    assert decision == asked(wanted, who, tenant, request)
    match decision:
        case Allow(reason=reason):
            assert reason in YES
        case Challenge(reason=Reason.STEP_UP | Reason.AAL_TOO_LOW, ended=ended):
            assert isinstance(who, Authenticated)
            assert not ended
        case Challenge():
            assert isinstance(who, Anonymous)
            assert (decision.reason, decision.ended) == (who.reason, who.ended)
        case Deny(reason=reason):
            assert reason in NO
            assert reason is Reason.CROSS_SITE or isinstance(who, Authenticated)


@given(wanted=ROUTES, who=CALLERS, tenant=TENANTS, request=REQUESTS)
def test_only_a_tenant_that_is_had_is_reported(
    wanted: Route,
    who: Authentication,
    tenant: Tenant | TenantRefused | None,
    request: RequestHead,
) -> None:
    decision = asked(wanted, who, tenant, request)

    if isinstance(decision, Allow) and decision.tenant is not None:
        assert decision.tenant is tenant
        assert decision.session is not None


@given(wanted=ROUTES, who=CALLERS, tenant=TENANTS, request=REQUESTS)
def test_the_first_failing_check_is_the_decision(
    wanted: Route,
    who: Authentication,
    tenant: Tenant | TenantRefused | None,
    request: RequestHead,
) -> None:
    """So what `gateway explain` shows of the checks is what happened."""
    wanted = replace(wanted, preflight_pass=False)
    given_ = access(wanted, who, tenant, request)
    decision = decide(given_, checks_of(wanted))

    for check in checks_of(wanted):
        reason = check.failure(given_)
        if reason is not None:
            assert decision.reason is reason
            assert isinstance(decision, Challenge if check.challenges else Deny)
            break
    else:
        assert isinstance(decision, Allow)


def test_a_route_that_requires_nothing_has_the_checks_of_every_session() -> None:
    assert [check.description for check in checks_of(route())] == [
        "a valid session",
        "a member of the tenant named",
    ]
    assert checks_of(route(Rule.PUBLIC)) == ()


def _nothing(name: str) -> Any:
    return getattr(Require(), name)


# Networks: before every rule, and whoever asks

OFFICE = (ip_network("192.0.2.0/24"), ip_network("2001:db8:1::/48"))
OUTSIDE = no(Reason.NETWORK_NOT_ALLOWED)


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("who", [ADMIN, Anonymous(reason=Reason.NO_SESSION)])
def test_a_client_outside_the_networks_passes_by_no_rule(
    rule: Rule, who: Authentication
) -> None:
    request = head(peer="198.51.100.7")

    assert asked(route(rule, networks=OFFICE), who, request=request) == OUTSIDE


def test_not_even_a_preflight_passes_from_outside_the_networks() -> None:
    closed = route(Rule.PUBLIC, networks=OFFICE, preflight_pass=True)
    request = head(
        ("Origin", "https://evil.example"),
        ("Access-Control-Request-Method", "DELETE"),
        method="OPTIONS",
        peer="198.51.100.7",
    )

    assert (
        asked(closed, Anonymous(reason=Reason.NO_SESSION), request=request) == OUTSIDE
    )


@pytest.mark.parametrize(
    ("peer", "inside"),
    [
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("::ffff:192.0.2.1", True),
        ("::ffff:192.0.3.1", False),
        ("2001:db8:1::9", True),
        ("2001:db8:2::9", False),
        ("::192.0.2.1", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_an_address_is_in_a_network_or_not(peer: str, inside: bool) -> None:
    found = asked(
        route(Rule.PUBLIC, networks=OFFICE),
        Anonymous(reason=Reason.NO_SESSION),
        request=head(peer=peer),
    )

    assert (found == Allow(reason=Reason.PUBLIC)) is inside
    assert inside or found == OUTSIDE


FORWARDED = [
    pytest.param([("X-Forwarded-For", "192.0.2.9")], True, id="client named"),
    pytest.param([("Forwarded", "for=192.0.2.9")], True, id="Forwarded"),
    pytest.param([("X-Forwarded-For", "198.51.100.7")], False, id="client outside"),
    pytest.param(
        [("X-Forwarded-For", "192.0.2.9, 198.51.100.7")], False, id="forged first hop"
    ),
    pytest.param([("X-Forwarded-For", "unknown")], False, id="client unknown"),
    pytest.param([("X-Forwarded-For", "")], False, id="client empty"),
    pytest.param([("Forwarded", "for=_hidden")], False, id="client hidden"),
    pytest.param([("Forwarded", "proto=https")], False, id="no client in Forwarded"),
    pytest.param([("X-Forwarded-Proto", "https")], False, id="client left out"),
    pytest.param([], True, id="a request of the proxy itself"),
]


@pytest.mark.parametrize(("fields", "inside"), FORWARDED)
def test_behind_a_trusted_proxy_the_client_counts_and_not_the_proxy(
    fields: list[tuple[str, str]], inside: bool
) -> None:
    networks = (*OFFICE, ip_network("10.0.0.0/8"))

    found = asked(
        route(Rule.PUBLIC, networks=networks),
        Anonymous(reason=Reason.NO_SESSION),
        request=head(*fields, peer="10.0.0.1", rules=BEHIND_PROXY),
    )

    assert (found != OUTSIDE) is inside


def test_a_forwarding_header_of_a_stranger_admits_no_request() -> None:
    request = head(("X-Forwarded-For", "192.0.2.9"), peer="198.51.100.7")

    found = asked(route(Rule.PROTECTED, networks=OFFICE), ADMIN, request=request)

    assert found == OUTSIDE


@pytest.mark.parametrize(
    ("fields", "inside"), [([("X-Forwarded-For", "192.0.2.9")], True), ([], False)]
)
def test_behind_a_unix_socket_the_proxy_has_to_name_the_client(
    fields: list[tuple[str, str]], inside: bool
) -> None:
    request = head(*fields, peer="", rules=HeadRules(trust_unix=True))

    found = asked(route(Rule.PROTECTED, networks=OFFICE), ADMIN, request=request)

    assert (found != OUTSIDE) is inside


def test_inside_the_networks_the_rule_still_decides() -> None:
    office = route(Rule.ADMIN_ONLY, networks=OFFICE)
    request = head(peer="192.0.2.7")

    assert asked(office, MEMBER, request=request) == no(Reason.NOT_ADMIN)
    assert asked(office, ADMIN, request=request) == yes(ADMIN)


@given(
    wanted=ROUTES,
    ago=st.sampled_from([0.0, 30.0, 61.0, NOW]),
    aal=st.sampled_from(["aal1", "aal2", "aal3", "other"]),
)
def test_a_step_up_is_foreseen_as_it_is_decided(
    wanted: Route, ago: float, aal: str
) -> None:
    """For a caller who meets everything that a sign-in does not change."""
    who = signed_in("admin", "staff", ago=ago, aal=aal)
    stronger = {Reason.STEP_UP, Reason.AAL_TOO_LOW}
    owner = Tenant(id="t", name="T", role=min(wanted.require.tenant_roles, default=""))
    decision = asked(wanted, who, owner)

    foreseen = step_up_reason(wanted, aal=aal, authenticated_at=NOW - ago, now=NOW)

    decided = decision.reason if isinstance(decision, Challenge) else None
    assert foreseen == decided
    assert foreseen in {None, *stronger}
