"""Which tenant a request speaks for; whoever names one must be in it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.http.head import RequestHead
from gateway.http.headers import line_of
from gateway.http.target import Target
from gateway.reasons import Reason
from gateway.tenants import (
    Source,
    TenantRefused,
    from_header,
    from_host,
    from_path,
    from_session,
    resolve_tenant,
)
from tests.http.heads import head
from tests.sessions.samples import a_session

SESSION = a_session()  # in t_acme, which is active, and in t_beta
ACME, BETA = SESSION.tenants["t_acme"], SESSION.tenants["t_beta"]
STRANGER = TenantRefused(reason=Reason.NOT_A_MEMBER)
TORN = TenantRefused(reason=Reason.TENANT_CONFLICT)


def says(tenant: str | None) -> Source:
    return lambda _session, _head: tenant


def resolved(*sources: Source, request: RequestHead | None = None) -> object:
    return resolve_tenant(SESSION, request or head(), sources)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param(["t_other"], STRANGER, id="not-a-member"),
        pytest.param([""], STRANGER, id="empty"),
        pytest.param(["T_ACME"], STRANGER, id="other-case"),
        pytest.param(["t_acme", "t_beta"], TORN, id="two-memberships"),
        pytest.param(["t_acme", "t_other"], TORN, id="a-membership-and-a-stranger"),
        pytest.param(["t_other", "t_acme"], TORN, id="a-stranger-and-a-membership"),
        pytest.param(["t_acme", None, "t_beta"], TORN, id="with-a-silent-one-between"),
        pytest.param([], None, id="no-source"),
        pytest.param([None, None], None, id="nobody-says"),
        pytest.param(["t_acme"], ACME, id="one-says"),
        pytest.param([None, "t_beta"], BETA, id="the-second-says"),
        pytest.param(["t_beta", "t_beta"], BETA, id="two-agree"),
    ],
)
def test_sources_are_asked_in_order_and_must_agree(
    named: list[str | None], expected: object
) -> None:
    assert resolved(*(says(one) for one in named)) == expected


@pytest.mark.parametrize(
    ("active", "named"),
    [
        pytest.param("t_gone", None, id="a membership that was taken away"),
        pytest.param(None, None, id="none is active"),
        pytest.param("t_beta", "t_beta", id="active"),
    ],
)
def test_the_session_names_what_is_active_and_still_had(
    active: str | None, named: str | None
) -> None:
    assert from_session(a_session(active_tenant_id=active), head()) == named


@pytest.mark.parametrize(
    ("pattern", "host", "named"),
    [
        pytest.param("{tenant}.example.com", "example.com", None, id="no label"),
        pytest.param("{tenant}.example.com", "a.b.example.com", None, id="two labels"),
        pytest.param("{tenant}.example.com", "t_x.evil.test", None, id="another domain"),
        pytest.param("{tenant}.example.com", "notexample.com", None, id="same ending"),
        pytest.param("{tenant}.example.com", "t.example.com.evil.test", None, id="below"),
        pytest.param("{tenant}.example.com", "acme.example.com", "acme", id="label"),
        pytest.param("{tenant}.example.com", "ACME.Example.com", "acme", id="case"),
        pytest.param("{tenant}.example.com", "acme.example.com.", "acme", id="root dot"),
        pytest.param("{tenant}.example.com", "acme.example.com:8443", "acme", id="port"),
        pytest.param("{tenant}.Example.COM", "acme.example.com", "acme", id="pattern's case"),
        pytest.param("app.{tenant}.test", "app.test", None, id="ends overlap"),
        pytest.param("app.{tenant}.test", "app.acme.test", "acme", id="in the middle"),
    ],
)  # fmt: skip
def test_a_host_names_one_label(pattern: str, host: str, named: str | None) -> None:
    assert from_host(pattern)(SESSION, head(host=host)) == named


@pytest.mark.parametrize(
    ("pattern", "target", "named"),
    [
        pytest.param("/t/{tenant}/**", "/t", None, id="no segment"),
        pytest.param("/t/{tenant}/**", "/t/", None, id="empty segment"),
        pytest.param("/t/{tenant}/**", "/tt/acme", None, id="longer literal"),
        pytest.param("/t/{tenant}/**", "/x/t/acme", None, id="not at the start"),
        pytest.param("/t/{tenant}/**", "/x?/t/acme", None, id="in the query"),
        pytest.param("/t/{tenant}/**", "/T/acme", None, id="case"),
        pytest.param("/{tenant}/app/**", "/static/site.css", None, id="what follows differs"),
        pytest.param("/{tenant}/app/**", "/acme", None, id="what follows is missing"),
        pytest.param("/t/{tenant}", "/t/acme/deeper", None, id="no rest"),
        pytest.param("/t/{tenant}/**", "/t/acme", "acme", id="without a rest"),
        pytest.param("/t/{tenant}/**", "/t/acme/", "acme", id="slash"),
        pytest.param("/t/{tenant}/**", "/t/acme/a/b?t=other", "acme", id="rest"),
        pytest.param("/{tenant}/app/**", "/acme/app/x", "acme", id="followed"),
        pytest.param("/t/{tenant}", "/t/acme", "acme", id="whole"),
        pytest.param("/t/{tenant}/**", "/t/%61cme", "acme", id="needless escape"),
        pytest.param("/t/{tenant}/**", "/t/%40me", "@me", id="escape as routes read it"),
        pytest.param("/t/{tenant}/**", "/t/a%2Fb", "a/b", id="escaped slash stays one"),
    ],
)  # fmt: skip
def test_a_path_names_one_segment_of_the_whole_pattern(
    pattern: str, target: str, named: str | None
) -> None:
    assert from_path(pattern)(SESSION, head(target=target)) == named


def test_a_pattern_that_no_path_has_is_refused_when_it_is_compiled() -> None:
    with pytest.raises(ConfigError, match=r"tenants\.resolve: /\.\./.* dot segment"):
        from_path("/../{tenant}")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param([("X-Tenant", "a"), ("X-Tenant", "b")], "a,b", id="twice"),
        pytest.param([("X-Tenant", "a"), ("X_Tenant", "b")], "a,b", id="two spellings"),
        pytest.param([("x.tenant", "b")], "b", id="a spelling that PHP folds"),
        pytest.param([("X_TENANT", "b")], "b", id="a spelling that CGI folds"),
        pytest.param([("X-Tenant", "")], "", id="empty"),
        pytest.param([("X-Tenant-Id", "a")], None, id="another header"),
        pytest.param([], None, id="none"),
        pytest.param([("x-TENANT", "t_acme")], "t_acme", id="any case"),
        pytest.param([("X-Tenant", "t_ä".encode())], "t_ä", id="beyond ASCII"),
    ],
)
def test_a_header_names_its_value_in_every_spelling(
    fields: list[tuple[str, str]], named: str | None
) -> None:
    assert from_header("X-Tenant")(SESSION, head(*fields)) == named


def test_a_header_next_to_the_session_cannot_change_the_tenant() -> None:
    sources = (from_session, from_header("X-Tenant"))

    assert resolved(*sources, request=head(("X_Tenant", "t_beta"))) == TORN
    assert resolved(*sources, request=head(("X-Tenant", "t_acme"))) == ACME


SEGMENT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)


@given(
    host=SEGMENT,
    segment=SEGMENT,
    value=SEGMENT,
    active=st.sampled_from([None, "t_acme", "t_beta", "t_gone"]),
    order=st.permutations(range(4)),
)
def test_whatever_is_named_only_a_membership_is_given(
    host: str, segment: str, value: str, active: str | None, order: list[int]
) -> None:
    """Law 8: no request without membership speaks for a tenant."""
    request = replace(
        head(),
        host=f"{host}.example.com",
        lines=(line_of(b"X-Tenant", value.encode()),),
        target=Target(path=f"/t/{segment}", query=None, escapes=frozenset()),
    )
    session = a_session(active_tenant_id=active)
    sources = [
        from_session,
        from_host("{tenant}.example.com"),
        from_path("/t/{tenant}/**"),
        from_header("X-Tenant"),
    ]

    found = resolve_tenant(session, request, [sources[at] for at in order])

    assert (
        found is None
        or isinstance(found, TenantRefused)
        or session.tenants[found.id] is found
    )
