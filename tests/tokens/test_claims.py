"""What the templates say of a session."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.claims import (
    ITEMS_MOST,
    TEXT_LONGEST,
    claims_for,
    compile_claims,
    compile_template,
)
from tests.tokens.subjects import ACME, make_session


def render(claim: Any, **session: Any) -> dict[str, Any]:
    compiled = compile_claims({"claim": claim})
    return claims_for(compiled, make_session(**session), ACME)


@pytest.mark.parametrize(
    "hostile",
    [
        "{tenant.id}",
        "{identity.roles}",
        "{{tenant.id}}",
        "{0.__class__}",
        "%(tenant)s",
        "$tenant",
        '","tenant_id":"t_globex',
    ],
)
def test_a_value_is_never_expanded_again(hostile: str) -> None:
    traits = {"name": hostile}

    assert render("{identity.traits.name}", traits=traits) == {"claim": hostile}
    assert render("<{identity.traits.name}>", traits=traits) == {
        "claim": f"<{hostile}>"
    }


@given(st.text(min_size=1, max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_any_text_comes_through_as_it_is(name: str, before: str, after: str) -> None:
    claim = _escaped(before) + "{identity.traits.name}" + _escaped(after)

    said = render(claim, traits={"name": name})

    if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        assert said == {}
    else:
        assert said == {"claim": before + name + after}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_trait_gives_json_that_is_bounded(trait: Any) -> None:
    traits = {"deep": {"x": trait}}

    for template in ("{identity.traits.deep.x}", "a {identity.traits.deep.x}"):
        text = json.dumps(render(template, traits=traits), allow_nan=False)
        assert len(text) < 16_000


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{tenant.id}", "t_acme"),
        ("{tenant.name}", "Acme"),
        ("{tenant.role}", "owner"),
        ("{identity.id}", "u_ann"),
        ("{session.id}", "s_1"),
        ("{session.aal}", "aal1"),
        ("{identity.roles}", ["staff", "admin"]),
        ("r:{identity.roles}", "r:staff,admin"),
        ("{tenant.id}/{tenant.role}", "t_acme/owner"),
        ("{identity.traits.age}", 41),
        ("{identity.traits.age}y", "41y"),
        ("{identity.traits.vip}", True),
        ("{identity.traits.vip}!", "true!"),
        ("{identity.traits.name.first}", "Ann"),
        ("{identity.traits.tags}", ["a", 2]),
        (7, 7),
        (None, None),
        (False, False),
        (["{tenant.id}", "{identity.traits.none}", 1], ["t_acme", 1]),
        (
            {
                "x-hasura-allowed-roles": "{identity.roles}",
                "x-hasura-org-id": "{tenant.id}",
                "x-hasura-none": "{identity.traits.none}",
            },
            {"x-hasura-allowed-roles": ["staff", "admin"], "x-hasura-org-id": "t_acme"},
        ),
    ],
)
def test_a_template_becomes_its_value(template: Any, value: Any) -> None:
    traits = {
        "age": 41,
        "vip": True,
        "name": {"first": "Ann"},
        "tags": ["a", 2],
    }

    said = render(template, traits=traits, roles=("staff", "admin"))

    assert said == {"claim": value}
    assert type(said["claim"]) is type(value)


@pytest.mark.parametrize(
    "trait",
    [
        None,
        "",
        "x" * (TEXT_LONGEST + 1),
        "nul\0",
        "half \ud800",
        {"an": "object"},
        [["nested"]],
        ["x", ""],
        ["x"] * (ITEMS_MOST + 1),
        ["x" * TEXT_LONGEST] * 5,
        2**53,
        float("inf"),
    ],
    ids=repr,
)
def test_what_a_token_should_not_carry_is_missing(trait: Any) -> None:
    traits = {"t": trait}

    assert render("{identity.traits.t}", traits=traits) == {}
    assert render("a {identity.traits.t}", traits=traits) == {}


@pytest.mark.parametrize("way", ["none", "email.x", "email.__class__", "a.b.c"])
def test_a_way_that_leads_nowhere_is_missing(way: str) -> None:
    assert render(f"{{identity.traits.{way}}}") == {}


def test_no_roles_are_an_empty_list_and_not_missing() -> None:
    assert render("{identity.roles}", roles=()) == {"claim": []}


def test_without_a_tenant_its_claims_are_missing() -> None:
    claims = compile_claims({"t": "{tenant.id}", "r": "authenticated"})

    assert claims_for(claims, make_session(), None) == {"r": "authenticated"}


def test_one_template_stands_by_itself() -> None:
    session = make_session()

    assert compile_template("{tenant.id}").pieces(session, ACME) == ["t_acme"]
    assert compile_template("{tenant.id}").pieces(session, None) is None
    assert compile_template("{identity.roles}").pieces(session, ACME) == [["staff"]]
    assert compile_template("a {tenant.id}").pieces(session, ACME) == ["a ", "t_acme"]
    assert compile_template("a {tenant.id}").pieces(session, None) is None
    assert compile_template("a").pieces(session, None) == ["a"]


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
