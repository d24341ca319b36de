"""The claims language as it is read: closed, and told where it is wrong."""

import contextlib
import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.template import REGISTERED, Literal, Placeholder, Text
from gateway.tokens.template_parser import ClaimsError, compile_claims, compile_node


@pytest.mark.parametrize(
    ("template", "states"),
    [
        ("{tenant.id", "unmatched brace"),
        ("tenant.id}", "unmatched brace"),
        ("{}", "unknown placeholder"),
        ("{{tenant.id}", "unmatched brace"),
        ("{ tenant.id }", "did you mean {tenant.id}?"),
        ("{tenant.id!r}", "did you mean {tenant.id}?"),
        ("{tenant.id:>9}", "did you mean {tenant.id}?"),
        ("{tenant.__class__}", "unknown placeholder"),
        ("{identity.__init__.__globals__}", "unknown placeholder"),
        ("{identity.traits}", "name a trait"),
        ("{identity.traits.}", "name a trait"),
        ("{identity.traits.a..b}", "unknown placeholder"),
        ("{identity.traits.a[0]}", "unknown placeholder"),
        ("{identity.traits.{tenant.id}}", "unknown placeholder"),
        ("{tenat.id}", "did you mean {tenant.id}?"),
        ("{identity.role}", "did you mean {identity.roles}?"),
        ("{session.token}", "unknown placeholder"),
        ("{zzz}", "known are {tenant.id}"),
        ("{tenant.id|}", "an empty default"),
        ("{|tenant.id}", "unknown placeholder"),
        ("{'x'}", "unknown placeholder"),
        ("{x|tenant.id}", "unknown placeholder"),
        ("{tenant.id||'x'}", "an empty default"),
        ("{tenant.id|'x'|identity.id}", "nothing after a literal"),
        ("{tenant.id|x|y}", "nothing after a literal"),
        ("{tenant.id|tenant.nmae}", "did you mean {tenant.name}?"),
        ("{tenant.id|tenant}", "unknown placeholder"),
        ("{tenant.id|identity}", "unknown placeholder"),
        ("{tenant.id|'x}", "unmatched brace"),
        ("{tenant.id|'x'y}", "unknown placeholder"),
        ("{tenant.id|x'y'}", "unknown placeholder"),
        ("{tenant.id | 'x'}", "did you mean {tenant.id}?"),
        ("{tenant.id|identity.traits.org}", "a trait must not stand for the tenant"),
        ("{identity.traits.org|tenant.id}", "a trait must not stand for the tenant"),
        ("a{tenant.role|identity.traits.role|'x'}", "must not stand for the tenant"),
        ("{tenants.roles} ", "must be the whole claim"),
        ("{tenants.roles}{tenants.roles}", "must be the whole claim"),
        ("{tenants.roles|'x'}", "must be the whole claim"),
        ("{tenant.id|tenants.roles}", "must be the whole claim"),
    ],
)
def test_what_is_not_of_the_language_is_refused(template: str, states: str) -> None:
    with pytest.raises(ClaimsError) as caught:
        compile_node(template)

    assert states in str(caught.value)


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_no_template_names_a_registered_claim(name: str) -> None:
    with pytest.raises(ClaimsError) as caught:
        compile_claims({"ok": 1, name: "x"})

    assert caught.value.path == (name,)


def test_a_registered_name_further_down_is_another_claim() -> None:
    assert compile_claims({"app": {"sub": "x"}}).needs_tenant is False


@pytest.mark.parametrize(
    ("claims", "path"),
    [
        pytest.param({"a": {"b": ["{no}"]}}, ("a", "b", 0), id="nested"),
        pytest.param({"a{tenant.id}": 1}, ("a{tenant.id}",), id="name"),
        pytest.param({"a": dt.date(2026, 1, 1)}, ("a",), id="date"),
        pytest.param({"a": float("nan")}, ("a",), id="nan"),
        pytest.param({"a": b"x"}, ("a",), id="bytes"),
        pytest.param({"a": {1: "x"}}, ("a",), id="number as a name"),
    ],
)
def test_the_error_leads_to_its_place(
    claims: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(ClaimsError) as caught:
        compile_claims(claims)

    assert caught.value.path == path


def test_braces_are_doubled() -> None:
    assert compile_node("{{tenant.id}}") == Literal("{tenant.id}")
    assert compile_node("a{{b}}c") == Literal("a{b}c")
    text = compile_node("{{{tenant.id}}}")
    assert isinstance(text, Text)
    assert [str(getattr(part, "name", part)) for part in text.parts] == [
        "{",
        "tenant.id",
        "}",
    ]


def test_a_placeholder_alone_is_no_text() -> None:
    assert isinstance(compile_node("{tenant.id}"), Placeholder)
    assert isinstance(compile_node("{tenant.id} "), Text)


@pytest.mark.parametrize(
    ("claims", "needs"),
    [
        ({"tenant_id": "{tenant.id}"}, True),
        ({"who": "x {tenant.name}"}, True),
        ({"app": {"orgs": ["{tenant.role}"]}}, True),
        ({"email": "{identity.traits.email}", "n": [1, {"b": True}]}, False),
        ({"tenant": "{{tenant.id}}"}, False),
        ({}, False),
        ({"t": "{tenant.id|'none'}"}, False),
        ({"t": "{tenant.id|identity.id}"}, False),
        ({"t": "{tenant.name|tenant.id}"}, True),
        ({"t": "x {tenant.id|none} {tenant.role}"}, True),
        ({"t": "{tenants.roles}"}, False),
    ],
)
def test_a_profile_knows_whether_it_names_the_tenant(
    claims: dict[str, Any], needs: bool
) -> None:
    assert compile_claims(claims).needs_tenant is needs


@pytest.mark.parametrize(
    ("claim", "tells"),
    [
        ("{session.expires_at}", True),
        ("{identity.traits.x|session.expires_at}", True),
        ("{session.methods|none} x", True),
        ("{session.aal|'session.expires_at'}", False),
        ("{identity.created_at}", False),
    ],
)
def test_a_profile_knows_whether_it_depends_on_times(claim: str, tells: bool) -> None:
    assert compile_claims({"c": claim}).shows_times is tells


@given(st.text(st.sampled_from("{}|'\"a.x tenant.ididentity.traits.n"), max_size=24))
def test_any_template_is_compiled_or_refused(template: str) -> None:
    with contextlib.suppress(ClaimsError):
        compile_node(template)
