"""What the templates say of a session."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.record import Tenant
from gateway.tokens.claims import (
    ITEMS_MOST,
    TEXT_LONGEST,
    ClaimsError,
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

    stated = render(claim, traits={"name": name})

    if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        assert stated == {}
    else:
        assert stated == {"claim": before + name + after}


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

    stated = render(template, traits=traits, roles=("staff", "admin"))

    assert stated == {"claim": value}
    assert type(stated["claim"]) is type(value)


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


NICK: dict[str, Any] = {"nick": "ann", "org": {"a": 1}, "long": "x" * 513, "none": ""}


@pytest.mark.parametrize(
    ("claim", "stated"),
    [
        pytest.param("{identity.traits.nick|identity.id}", "ann", id="the first"),
        pytest.param("{identity.traits.name|identity.id}", "u_ann", id="the second"),
        pytest.param("{identity.traits.none|'x'}", "x", id="an empty text"),
        pytest.param("{identity.traits.long|'x'}", "x", id="too long"),
        pytest.param("{identity.traits.org|'x'}", "x", id="an object"),
        pytest.param("{identity.traits.name|identity.traits.none|guest}", "guest", id="a word"),
        pytest.param("{identity.traits.name|'}|{tenant.id}'}", "}|{tenant.id}", id="signs in quotes"),
        pytest.param('{identity.traits.name|"it\'s"}', "it's", id="double quotes"),
        pytest.param("{identity.traits.name|''}", "", id="an empty default"),
        pytest.param("<{identity.traits.name|'x'}>", "<x>", id="inside a text"),
        pytest.param("{identity.created_at|session.id}", "s_1", id="no time"),
        pytest.param("{identity.roles|'none'}", ["staff"], id="a list keeps its kind"),
    ],
)  # fmt: skip
def test_the_first_value_that_the_session_has_counts(claim: str, stated: Any) -> None:
    assert render(claim, traits=NICK) == {"claim": stated}


def test_a_choice_without_any_value_omits_the_claim() -> None:
    assert render("{identity.traits.a|identity.traits.b}") == {}
    assert render("x {identity.traits.a|identity.traits.b}") == {}
    assert render("{identity.roles|'none'}", roles=()) == {"claim": "none"}


def test_a_default_is_not_read_again() -> None:
    traits = {"nick": "{tenant.id|'x'}"}

    assert render("{identity.traits.nick|'y'}", traits=traits) == {
        "claim": "{tenant.id|'x'}"
    }


@pytest.mark.parametrize(
    ("tenants", "stated"),
    [
        ((ACME, Tenant(id="t", name="T", role="")), {"t_acme": "owner", "t": ""}),
        ((), {}),
        (tuple(Tenant(id=f"t{n}", name="", role="r") for n in range(65)), None),
        ((Tenant(id="t" * 255, name="", role="r\0"),), None),
        (tuple(Tenant(id=f"{n:0250}", name="", role="r") for n in range(9)), None),
    ],
)
def test_memberships_are_an_object_within_the_limits(
    tenants: tuple[Tenant, ...], stated: Any
) -> None:
    found = render("{tenants.roles}", tenants=tenants)

    assert found == ({} if stated is None else {"claim": stated})


def test_times_of_the_identity_are_seconds() -> None:
    session = make_session()
    identity = replace(session.identity, created_at=1_700_000_000.5, updated_at=0.0)
    claims = compile_claims(
        {"c": "{identity.created_at}", "u": "{identity.updated_at}"}
    )

    found = claims_for(claims, replace(session, identity=identity), ACME)

    assert found == {"c": 1_700_000_000, "u": 0}


def test_a_header_has_the_first_value_too() -> None:
    session = make_session(traits={"name": ""})

    def pieces(text: str) -> list[Any] | None:
        return compile_template(text).pieces(session, None)

    assert pieces("{identity.traits.name|identity.id}") == ["u_ann"]
    assert pieces("{tenant.id|'none'}") == ["none"]
    assert pieces("{identity.traits.name|identity.traits.nick}") is None
    assert pieces("<{identity.traits.name|x}>") == ["<", "x", ">"]
    with pytest.raises(ClaimsError, match="is an object"):
        compile_template("{tenants.roles}")
