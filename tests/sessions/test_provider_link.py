"""What a session keeps of its provider, and what a logout means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.provider_link import (
    LogoutMark,
    ProviderLink,
    ProviderLogout,
    read_link,
    read_mark,
    write_mark,
)

A, B = "https://a.example", "https://b.example"


def link(sid: str | None = "a", subject: str = "s", **more: Any) -> ProviderLink:
    fields: dict[str, Any] = {"issuer": A, "issued_at": 100.0} | more
    return ProviderLink(subject=subject, session_id=sid, **fields)


def logout(sid: str | None = "a", subject: str | None = "s") -> ProviderLogout:
    return ProviderLogout(issuer=A, subject=subject, session_id=sid, issued_at=100.0)


@pytest.mark.parametrize(
    ("ended", "session", "meant"),
    [
        (logout(), link(issuer=B), False),
        (logout(), link(subject="t"), False),
        (logout(), link("b"), False),
        (logout(), link(issued_at=100.1), False),  # a later sign-in
        (logout(subject=None), link(None), False),
        (logout(subject=None), link("b"), False),
        (logout(None), link(subject="t"), False),
        (logout(), link(), True),
        (logout(), link(None), True),
        (logout(None), link("b"), True),
        (logout(subject=None), link(subject="t"), True),
    ],
)
def test_which_sessions_are_meant(
    ended: ProviderLogout, session: ProviderLink, meant: bool
) -> None:
    assert ended.means(session, began=50.0) is meant


@pytest.mark.parametrize(("began", "meant"), [(160.0, True), (161.0, False)])
def test_without_the_time_of_the_token_that_of_the_session_counts(
    began: float, meant: bool
) -> None:
    assert logout().means(link(issued_at=None), began) is meant


@pytest.mark.parametrize(
    ("issued", "began", "meant"),
    [
        (99.0, 500.0, True),  # the token is older than the logout
        (100.0, 500.0, True),
        (None, 500.0, False),
        (101.0, 500.0, False),
        (101.0, 300.0, True),  # its code may be
    ],
)
def test_which_sign_ins_in_progress_are_meant(
    issued: float | None, began: float, meant: bool
) -> None:
    mark = LogoutMark(issued_at=100.0, received_at=300.0)

    assert mark.means(link(issued_at=issued), began) is meant


@pytest.mark.parametrize(
    "facts",
    [{}, {"issuer": A}, {"issuer": A, "subject": 7}, {"issuer": [], "subject": "s"}],
)
def test_what_is_not_complete_is_no_link(facts: dict[str, Any]) -> None:
    assert read_link(facts) is None


@pytest.mark.parametrize("issued", [True, "100", None, [1]])
def test_a_time_that_is_none_is_not_known(issued: Any) -> None:
    found = read_link({"issuer": A, "subject": "s", "issued_at": issued})

    assert found is not None
    assert found.issued_at is None


_TIMES = st.floats(0, 1e12) | st.integers(0, 10**12)


@given(_TIMES, _TIMES)
def test_a_mark_is_read_as_it_was_written(issued: float, received: float) -> None:
    mark = LogoutMark(issued_at=issued, received_at=received)

    assert read_mark(write_mark(mark)) == mark


@given(st.binary(max_size=30))
def test_any_bytes_are_a_mark_or_none(raw: bytes) -> None:
    found = read_mark(raw)

    assert found is None or isinstance(found, LogoutMark)
