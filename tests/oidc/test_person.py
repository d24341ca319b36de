"""Claims become an identity, roles and tenants; or a refusal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.claims import parse_claim_text
from gateway.oidc.failure import SignInFailed
from gateway.oidc.person import (
    account_of,
    check_allowed,
    claims_wanted,
    missing_claims,
    person_of,
)
from gateway.oidc.settings import Allow, Membership, PersonRules
from gateway.reasons import Reason


def rules(**changes: Any) -> PersonRules:
    texts = {"id": "{sub}", "roles": "{groups}", "tenants": "{organizations}"} | changes
    membership = texts.pop("membership", None)
    return PersonRules(
        traits={"email": parse_claim_text("{email}")},
        membership=membership,
        **{
            name: None if text is None else parse_claim_text(text)
            for name, text in texts.items()
        },  # type: ignore[arg-type]
    )


def refusal(claims: dict[str, Any], **changes: Any) -> Reason:
    with pytest.raises(SignInFailed) as refused:
        person_of(rules(**changes), claims, "acme")
    return refused.value.reason


TENANTS: list[Any] = [
    (None, {}),
    ([], {}),
    ({}, {}),
    (["acme", "blue"], {"acme": ("acme", ""), "blue": ("blue", "")}),
    ("acme", {"acme": ("acme", "")}),
    ([{"id": "t1", "name": "Acme", "role": "owner"}], {"t1": ("Acme", "owner")}),
    ({"acme": {"id": "o-1", "roles": ["owner", "x"]}}, {"acme": ("acme", "owner")}),
    ({"acme": {}}, {"acme": ("acme", "")}),
    ({"acme": "owner"}, {"acme": ("acme", "")}),
    ({"acme": {"name": "Acme", "role": "viewer"}}, {"acme": ("Acme", "viewer")}),
]


@pytest.mark.parametrize(("claim", "expected"), TENANTS)
def test_a_claim_lists_or_maps_the_tenants(claim: Any, expected: Any) -> None:
    person = person_of(rules(), {"sub": "s", "organizations": claim}, "acme")

    found = {t.id: (t.name, t.role) for t in person.tenants.values()}
    assert found == expected


def test_groups_stand_for_tenants() -> None:
    acme = Membership(id="t1", name="Acme", role="owner")
    lower = Membership(id="t1", name="Acme", role="viewer")
    both = {"/acme/owners": (acme,), "/acme": (lower,), "/x": ()}

    person = person_of(
        rules(tenants="{groups}", membership=both),
        {"sub": "s", "groups": ["/other", "/acme/owners", "/acme"]},
        "acme",
    )

    assert [(t.id, t.name, t.role) for t in person.tenants.values()] == [
        ("t1", "Acme", "owner")
    ]


@pytest.mark.parametrize(
    ("groups", "roles"),
    [(None, ()), ("staff", ("staff",)), (["a", "b", "a"], ("a", "b")), ([], ())],
)
def test_roles_are_listed_once(groups: Any, roles: tuple[str, ...]) -> None:
    person = person_of(rules(), {"sub": "s", "groups": groups}, "acme")

    assert person.identity.roles == roles


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": ["s"]},
        {"sub": True},
        {"sub": "a" * 256},
        {"sub": "s", "groups": [1]},
        {"sub": "s", "groups": [""]},
        {"sub": "s", "groups": {"staff": True}},
        {"sub": "s", "groups": ["r"] * 1001},
        {"sub": "s", "organizations": [7]},
        {"sub": "s", "organizations": [{"name": "no id"}]},
        {"sub": "s", "organizations": {"": {}}},
        {"sub": "s", "organizations": {"acme": {"role": 7}}},
        {"sub": "s", "organizations": {"acme": {"name": ["x"]}}},
        {"sub": "s", "organizations": 7},
        {"sub": "s", "_claim_names": {"groups": "src1"}},
        {"sub": "s", "_claim_names": {"organizations": "src1"}},
    ],
)
def test_claims_of_another_form_are_refused(claims: dict[str, Any]) -> None:
    assert refusal(claims) is Reason.CLAIM_MISSING


def test_a_number_is_an_id_as_text() -> None:
    person = person_of(rules(id="{oid}"), {"sub": "s", "oid": 7}, "acme")

    assert person.identity.id == "7"


def test_only_claims_that_are_used_are_wanted() -> None:
    allow = Allow(email_domains=frozenset({"example.com"}), claims={"hd": ("x",)})

    wanted = claims_wanted(rules(), allow)

    assert wanted == {"email", "email_verified", "groups", "organizations", "hd"}
    assert missing_claims(wanted, {})
    assert not missing_claims(frozenset({"a.b"}), {"a": {"b": False}})


@pytest.mark.parametrize(
    "email",
    [
        None,
        7,
        "",
        "example.com",
        "@example.com",
        "a@b@example.com",
        "a@example.com.",
        "a@ example.com",
        "a @example.com",
        "a@example.com\n",
        "a@ex\N{CYRILLIC SMALL LETTER A}mple.com",
        "a\N{FULLWIDTH COMMERCIAL AT}example.com",
        "a\N{SMALL COMMERCIAL AT}example.com",
    ],
)
def test_what_is_not_a_plain_address_is_of_no_domain(email: Any) -> None:
    allow = Allow(email_domains=frozenset({"example.com"}))
    claims = {"sub": "s", "email": email}
    person = person_of(rules(), claims, "acme")

    with pytest.raises(SignInFailed) as refused:
        check_allowed(allow, person, claims)
    assert refused.value.reason is Reason.ACCOUNT_NOT_ALLOWED


def test_the_account_is_named_by_what_its_user_knows() -> None:
    assert account_of({"sub": "s", "name": "Ada", "email": "a@b"}) == "a@b"
    assert account_of({"sub": "s", "email": "a\nb"}) == "s"
    assert account_of({"sub": 7}) == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["sub", "groups", "organizations", "_claim_names", "email"]),
        _JSON,
    )
)
def test_any_claims_are_a_person_or_a_refusal(claims: dict[str, Any]) -> None:
    try:
        person = person_of(rules(), claims, "acme")
    except SignInFailed:
        return
    assert person.identity.id
