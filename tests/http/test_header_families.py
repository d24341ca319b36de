"""Which headers of a client reach no upstream, and which ordinary ones do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.header_families import FORWARDING, IDENTITY, Family
from gateway.http.headers import HeaderFilter, is_reserved, line_of, normalize_name
from gateway.identity_headers import PRESETS
from tests.http.ordinary import ORDINARY

ROOT = Path(__file__).parents[2]
FAMILIES = (*FORWARDING, *IDENTITY)


def reaches_an_upstream(name: bytes) -> bool:
    return not is_reserved(name) and HeaderFilter(()).strip([line_of(name, b"v")]) != []


@st.composite
def spellings(draw: st.DrawFn) -> bytes:
    """A name of a family, in any case, with any mark in place of its hyphens."""
    family = draw(st.sampled_from(FAMILIES))
    name = draw(st.sampled_from((*family.names, *family.prefixes)))
    if name in family.prefixes:
        name += draw(st.sampled_from(("id", "x", "e-mail", "2")))
    return "".join(
        draw(st.sampled_from("-_.!~"))
        if letter == "-"
        else draw(st.sampled_from((letter.lower(), letter.upper())))
        for letter in name
    ).encode()


@given(spellings())
def test_no_spelling_of_a_family_reaches_an_upstream(name: bytes) -> None:
    assert not reaches_an_upstream(name)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_header_reaches_the_upstream(name: str) -> None:
    assert reaches_an_upstream(name.encode())
    assert reaches_an_upstream(name.lower().encode())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.source)
def test_the_table_is_in_one_spelling_without_doubles(family: Family) -> None:
    assert family.source
    assert family.names or family.prefixes
    for name in (*family.names, *family.prefixes):
        assert normalize_name(name.encode()) == name.encode()
    for name in family.names:
        assert not name.startswith(family.prefixes or ("\0",))


def test_no_name_is_in_two_families() -> None:
    every = [name for each in FAMILIES for name in (*each.names, *each.prefixes)]

    assert sorted(every) == sorted(set(every))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_headers_of_every_preset_are_in_a_family(preset: str) -> None:
    for name in PRESETS[preset]:
        assert not reaches_an_upstream(name.encode())


def test_the_documentation_lists_every_family() -> None:
    page = (ROOT / "docs/upstreams.md").read_text()

    for family in FAMILIES:
        names = sorted((*family.names, *(f"{each}*" for each in family.prefixes)))
        listed = ", ".join(f"`{name}`" for name in names)
        assert f"| {family.source} | {listed} |\n" in page
