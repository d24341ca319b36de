"""Identity headers: whole values or none, in the encoding that the app reads."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity_headers import (
    VALUE_LONGEST,
    Encoding,
    IdentityHeaders,
    Lists,
)
from gateway.sessions.record import Identity
from gateway.tokens.claims import compile_template
from tests.sessions.samples import a_session


def headers(mapping: Mapping[str, str], **how: Any) -> IdentityHeaders:
    return IdentityHeaders(
        fields=tuple((n.encode(), compile_template(t)) for n, t in mapping.items()),
        **how,
    )


def sent(identity: Identity, template: str, **how: Any) -> str | None:
    found = headers({"X": template}, **how)
    values = dict(found.render(a_session(identity=identity), None))
    return values[b"X"].decode() if values else None


def roles(*names: str, **how: Any) -> str | None:
    return sent(Identity(id="u", roles=names), "{identity.roles}", **how)


UTF_8 = Encoding.UTF_8


def test_no_role_becomes_two() -> None:
    """Hostile: an app that splits at commas must not find a role that nobody gave."""
    assert roles("x,admin", "y") == "x%2Cadmin,y"
    assert roles("x,admin", "y", encoding=UTF_8) == "x%2Cadmin,y"
    assert roles("x,admin", "y", lists=Lists.JSON) == '["x,admin","y"]'
    assert roles('x","admin', lists=Lists.JSON) == json.dumps(['x","admin'])


LINES = ["a\r\nX-Role: admin", "a\nb", "\x7f", "a\tb", "\x85", "\u2028"]


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("lists", Lists)
@pytest.mark.parametrize("text", LINES)
def test_no_value_ends_a_line(encoding: Encoding, lists: Lists, text: str) -> None:
    for value in (
        roles(text, encoding=encoding, lists=lists),
        sent(Identity(id=text), "{identity.id}", encoding=encoding, lists=lists),
    ):
        assert value is not None
        assert not set(value.encode()) & {*range(0x20), 0x7F}


def test_thirty_roles_of_120_characters_arrive() -> None:
    names = [f"group-{number:03d}-" + "n" * 110 for number in range(30)]

    assert roles(*names) == ",".join(names)


TEXTS = [
    pytest.param("Zo\u00eb", "Zo%C3%AB", "Zo\u00eb", id="beyond-ascii"),
    pytest.param("100%", "100%25", "100%", id="percent"),
    pytest.param(" a b ", "%20a b%20", "a b", id="spaces"),
    pytest.param("a,b", "a,b", "a,b", id="comma-in-a-text"),
]


@pytest.mark.parametrize(("text", "percent", "utf_8"), TEXTS)
def test_the_encoding_is_chosen(text: str, percent: str, utf_8: str) -> None:
    identity = Identity(id="u", traits={"name": text})

    assert sent(identity, "{identity.traits.name}") == percent
    assert sent(identity, "{identity.traits.name}", encoding=UTF_8) == utf_8


def test_a_text_around_a_value_is_kept() -> None:
    identity = Identity(id="u", traits={"name": "Zo\u00eb"}, roles=("a", "b,c"))
    template = "name {identity.traits.name}; roles {identity.roles}"

    assert sent(identity, template) == "name Zo%C3%AB; roles a,b%2Cc"
    assert sent(Identity(id="u"), template) is None


UNSENT = [
    pytest.param("x" * (VALUE_LONGEST + 1), "8193 bytes; the limit is 8192", id="long"),
    pytest.param("\u00eb" * 2000, "12000 bytes", id="long-when-encoded"),
    pytest.param({"a": 1}, "not text", id="object"),
    pytest.param(["a", {"b": 1}], "not text", id="object-in-a-list"),
    pytest.param(["a", None], "not text", id="null-in-a-list"),
    pytest.param("a\0b", "not text", id="nul"),
    pytest.param("\ud800", "not text", id="surrogate"),
    pytest.param(float("inf"), "not text", id="infinite"),
]


@pytest.mark.parametrize(("value", "why"), UNSENT)
def test_a_value_that_cannot_be_sent_is_named(value: object, why: str) -> None:
    found = headers({"X-Trait": "{identity.traits.t}", "X-Id": "{identity.id}"})
    session = a_session(identity=Identity(id="u", traits={"t": value}))

    assert found.lines(session, None) == b"X-Id: u\r\n"
    assert why in found.unsent["X-Trait"]
    assert list(found.unsent) == ["X-Trait"]


@pytest.mark.parametrize("value", [None, "", [], "absent"])
def test_a_value_that_is_missing_is_not_one_that_cannot_be_sent(value: object) -> None:
    traits = {} if value == "absent" else {"t": value}
    found = headers({"X-Trait": "{identity.traits.t}"})

    assert found.lines(a_session(identity=Identity(id="u", traits=traits)), None) == b""
    assert found.unsent == {}


@given(
    st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_characters="\0"),
            min_size=1,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_list_can_be_read_back(names: list[str]) -> None:
    comma, as_json = roles(*names), roles(*names, lists=Lists.JSON)

    assert comma is not None
    assert as_json is not None
    assert [unquote(item) for item in comma.split(",")] == names
    assert json.loads(unquote(as_json)) == names
