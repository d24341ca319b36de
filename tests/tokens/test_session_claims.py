"""The claims of a profile without `claims`."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.record import Method, Tenant
from gateway.tokens.claims import compile_claims
from gateway.tokens.key_files import embedded_ring
from gateway.tokens.minter import Minter, TokenProfile
from gateway.tokens.session_claims import TENANTS_MOST, session_claims
from tests.tokens.subjects import ACME, GLOBEX, NOW, make_session

ADMINS = frozenset({"admin"})


def claims(tenant: Tenant | None = ACME, **session: Any) -> dict[str, Any]:
    return session_claims(make_session(**session), tenant, ADMINS)


def test_a_front_end_finds_the_user_the_tenant_and_the_times() -> None:
    traits = {
        "email": "ann@acme.test",
        "email_verified": True,
        "name": "Ann Ünal",
        "picture": "https://a.test/ann.png",
    }
    session = replace(
        make_session(traits=traits, roles=("admin", "staff")),
        methods=(Method(method="password", completed_at=NOW),),
    )

    assert session_claims(session, ACME, ADMINS) == {
        "email": "ann@acme.test",
        "email_verified": True,
        "name": "Ann Ünal",
        "picture": "https://a.test/ann.png",
        "roles": ["admin", "staff"],
        "admin": True,
        "tenant": {"id": "t_acme", "name": "Acme", "role": "owner"},
        "tenants": [
            {"id": "t_acme", "name": "Acme", "role": "owner"},
            {"id": "t_globex", "name": "Globex", "role": "member"},
        ],
        "auth_time": 1_799_999_900,
        "amr": ["password"],
        "acr": "aal1",
        "session_exp": 1_800_086_400,
    }


@pytest.mark.parametrize(
    ("session", "missing"),
    [
        pytest.param({"traits": {}}, {"email", "name", "picture"}, id="no traits"),
        pytest.param(
            {"traits": {"email": ["a"], "name": 7, "email_verified": "yes"}},
            {"email", "name", "email_verified"},
            id="of another type",
        ),
        pytest.param({"traits": {"email": "a\0b"}}, {"email"}, id="NUL"),
        pytest.param({"traits": {"name": "n" * 513}}, {"name"}, id="too long"),
        pytest.param({"roles": ("r",) * 65}, {"roles"}, id="too many roles"),
        pytest.param(
            {
                "tenants": tuple(
                    Tenant(id=f"t_{i}", name="", role="")
                    for i in range(TENANTS_MOST + 1)
                )
            },
            {"tenants"},
            id="too many memberships",
        ),
    ],
)
def test_what_a_token_should_not_carry_is_omitted(
    session: dict[str, Any], missing: set[str]
) -> None:
    assert not missing & claims(**session).keys()


def test_a_name_in_parts_is_joined() -> None:
    assert claims(traits={"name": {"first": "Ann", "last": "Ünal"}})["name"] == (
        "Ann Ünal"
    )


def test_without_a_tenant_there_is_none_and_a_token_still() -> None:
    """Who has no organization is signed in nevertheless."""
    minter = Minter(
        ring=embedded_ring("ES256", now=NOW - 10),
        profiles={
            "web": TokenProfile(
                name="web",
                audience="web",
                header="X-Auth-Assertion",
                cookie=None,
                claims=compile_claims({}),
                admin_roles=ADMINS,
            )
        },
        issuer="https://gw.test",
        lifetime=60,
    )

    assert "tenant" not in claims(None)
    assert minter.token("web", make_session(tenants=()), None, NOW, "j") is not None
    # Another's tenant is still refused.
    assert minter.token("web", make_session(tenants=(ACME,)), GLOBEX, NOW, "j") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    traits=st.dictionaries(
        st.sampled_from(["email", "name", "picture", "email_verified", "x"]), JSON
    )
)
def test_any_traits_give_claims_of_the_documented_types(traits: dict[str, Any]) -> None:
    found = claims(traits=traits)

    for name in ("email", "name", "picture"):
        assert isinstance(found.get(name, ""), str)
    assert isinstance(found.get("email_verified", True), bool)
