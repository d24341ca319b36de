"""A long list in pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.endpoints.kratos_pages import (
    DEFAULT_SIZE,
    LARGEST,
    BadPage,
    Page,
    page_of,
)
from gateway.sessions.record import Session
from tests.sessions.samples import NOW, a_session

AT = "https://app.example/.gateway/sessions"


def some(count: int, *, apart: float = 1.0) -> list[Session]:
    return [
        a_session(id=f"s{n:04}", authenticated_at=NOW - n * apart) for n in range(count)
    ]


def next_query(page: Page) -> str | None:
    for link in page.link.split(","):
        if link.endswith('rel="next"'):
            return link.partition("?")[2].partition(">")[0]
    return None


@pytest.mark.parametrize(
    "query",
    [
        "page_size=0",
        "page_size=-1",
        "page_size=x",
        "page_size=1e9",
        "page_size=%D9%A1",
        "page_size=9999999999",
        "page=0",
        "per_page=x",
        "page_token=x",
        "page_token=%FF",
        "page_token=%C3%A4",
        "page_token=bm9zcGFjZQ",
        "page_token=bm90IGEgdGltZQ",
    ],
)
def test_what_makes_no_sense_is_refused(query: str) -> None:
    assert isinstance(page_of(some(3), query, AT), BadPage)


@given(query=st.text(max_size=40))
def test_any_query_is_a_page_or_none(query: str) -> None:
    """Law 7."""
    assert isinstance(page_of(some(3), query, AT), Page | BadPage)


@given(
    count=st.integers(0, 30),
    size=st.integers(1, 12),
    apart=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_the_pages_together_are_the_list(count: int, size: int, apart: float) -> None:
    sessions = some(count, apart=apart)
    seen: list[Session] = []
    query: str | None = f"page_size={size}"
    while query is not None:
        page = page_of(sessions, query, AT)
        assert isinstance(page, Page)
        assert len(page.sessions) <= size
        seen += page.sessions
        query = next_query(page)

    assert len(seen) == count
    assert {each.id for each in seen} == {each.id for each in sessions}


def test_a_session_that_ends_in_between_leaves_nothing_out() -> None:
    sessions = some(4)
    first = page_of(sessions, "page_size=2", AT)
    assert isinstance(first, Page)

    second = page_of(sessions[2:], next_query(first) or "", AT)

    assert isinstance(second, Page)
    assert [each.id for each in second.sessions] == ["s0002", "s0003"]


def test_older_words_are_understood() -> None:
    page = page_of(some(5), "per_page=2&page=2", AT)

    assert isinstance(page, Page)
    assert [each.id for each in page.sessions] == ["s0002", "s0003"]


def test_a_page_has_a_size_by_itself_and_a_largest_one() -> None:
    many = some(LARGEST + 1)
    usual, large = page_of(many, "", AT), page_of(many, "page_size=100000", AT)

    assert isinstance(usual, Page)
    assert isinstance(large, Page)
    assert (len(usual.sessions), len(large.sessions)) == (DEFAULT_SIZE, LARGEST)


def test_the_link_leads_to_the_first_page() -> None:
    page = page_of([], "page_size=7", AT)

    assert isinstance(page, Page)
    assert page.link == f'<{AT}?page_size=7>; rel="first"'
