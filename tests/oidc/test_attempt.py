"""An attempt is bound to one browser and one provider, and bounded in number and size."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.attempt import (
    LIFETIME,
    SLOTS,
    Attempt,
    AttemptCookies,
    find_attempt,
    new_attempt,
)

NOW = 1_800_000_000.0
KEYS = dict.fromkeys(("acme", "a.b-c_d.e"), b"a secret of the client")
COOKIES = AttemptCookies(stem="__Host-gateway_session", secure=True, keys=KEYS)
PLAIN = AttemptCookies(stem="gateway_session", secure=False, keys=KEYS)


def an_attempt(number: int = 1, **changes: object) -> Attempt:
    made = new_attempt("acme", bytes([number]) * 32, NOW, return_to="/dashboard")
    return replace(made, **changes)  # type: ignore[arg-type]


def pair_of(set_cookie: str) -> bytes:
    return set_cookie.partition(";")[0].encode()


def test_state_nonce_and_verifier_say_nothing_of_each_other() -> None:
    attempt = an_attempt()
    found = {attempt.state, attempt.nonce, attempt.verifier, attempt.secret}

    assert len(found) == 4
    assert {len(each) for each in found} == {43}
    assert attempt.secret not in repr(attempt)


@pytest.mark.parametrize(
    "changes", [{"provider": "evil"}, {"secret": "b" * 43}], ids=["provider", "secret"]
)
def test_each_provider_and_each_secret_has_another_state(
    changes: Any,
) -> None:
    other = an_attempt(**changes)

    assert other.state != an_attempt().state
    assert other.nonce != an_attempt().nonce


def test_the_cookie_is_host_only_and_comes_back_from_the_provider() -> None:
    (cookie,) = COOKIES.begin(an_attempt(), {}, 3)

    assert cookie.startswith("__Host-gateway_session_attempt_3=")
    attributes = cookie.partition("; ")[2].split("; ")
    assert set(attributes) == {
        "Path=/",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        f"Max-Age={LIFETIME}",
    }
    assert "Secure" not in PLAIN.begin(an_attempt(), {}, 3)[0]


@pytest.mark.parametrize("step", ["none", "fresh", "aal"])
@pytest.mark.parametrize("name", ["acme", "a.b-c_d.e"])
def test_what_is_written_is_read_again(step: str, name: str) -> None:
    attempt = an_attempt(provider=name, step=step, return_to="/a?b=c&d=%2F")
    (cookie,) = COOKIES.begin(attempt, {}, 0)

    held = COOKIES.read([b"a=b; " + pair_of(cookie) + b"; c=d"])

    assert held == {0: attempt}
    assert find_attempt(held, attempt.state, name, NOW) == (0, attempt)


@pytest.mark.parametrize(
    ("state", "provider", "now"),
    [
        ("", "acme", NOW),
        ("another", "acme", NOW),
        (an_attempt().nonce, "acme", NOW),
        (an_attempt().state, "evil", NOW),
        (an_attempt().state, "acme", NOW + LIFETIME + 1),
        (an_attempt().state, "acme", NOW - 61),
        (an_attempt().state + "\N{GREEK SMALL LETTER ALPHA}", "acme", NOW),
    ],
)
def test_an_answer_that_is_to_no_attempt(state: str, provider: str, now: float) -> None:
    assert find_attempt({0: None, 1: an_attempt()}, state, provider, now) is None


def test_the_oldest_attempt_is_dropped_first() -> None:
    held: dict[int, Attempt | None] = {
        slot: an_attempt(slot + 1, began=int(NOW) + slot) for slot in range(SLOTS)
    }

    cookie, *dropped = COOKIES.begin(an_attempt(99), held, 7)

    assert cookie.startswith("__Host-gateway_session_attempt_0=")
    assert dropped == []


def test_the_cookies_are_bounded_together_and_unreadable_ones_go() -> None:
    long = "/" + "a" * 1023
    held: dict[int, Attempt | None] = {
        slot: an_attempt(slot + 1, began=int(NOW) + slot, return_to=long)
        for slot in range(4)
    }
    held[9] = None

    cookie, *dropped = COOKIES.begin(an_attempt(99, return_to=long), held, 0)

    assert len(pair_of(cookie)) < 2000
    # The newest of the old ones fits into 4 kB with it; its slot is one that is free.
    assert {each.partition("=")[0][-1] for each in dropped} == {"1", "2", "9"}
    assert all(each.endswith("Max-Age=0") for each in dropped)


def test_a_return_address_that_is_too_long_is_not_kept() -> None:
    made = new_attempt("acme", b"a" * 32, NOW, return_to="/" + "a" * 2000)

    assert made.return_to == ""


def test_a_cookie_that_is_there_twice_is_not_readable() -> None:
    pair = pair_of(COOKIES.begin(an_attempt(), {}, 0)[0])

    assert COOKIES.read([pair + b"; " + pair]) == {0: None}
    assert COOKIES.read([pair, pair]) == {0: None}


def test_its_browser_cannot_change_anything_in_it() -> None:
    """Neither when it began, so that it is younger than a logout, nor one character."""
    name, _, value = pair_of(COOKIES.begin(an_attempt(), {}, 0)[0]).partition(b"=")
    later = value.replace(b"%d" % NOW, b"%d" % (NOW + 600))
    assert later != value
    changed = [value[:at] + b"0" + value[at + 1 :] for at in range(len(value))]

    for each in (later, value.partition(b".")[2], b"." + value, *changed):
        if each != value:
            assert COOKIES.read([name + b"=" + each]) == {0: None}
    other = replace(COOKIES, keys={"acme": b"the secret of another site"})
    assert other.read([name + b"=" + value]) == {0: None}
    assert replace(COOKIES, keys={}).read([name + b"=" + value]) == {0: None}


def test_every_name_is_known_so_that_none_reaches_an_upstream() -> None:
    cookies = [COOKIES.begin(an_attempt(), {}, draw)[0] for draw in range(SLOTS)]
    cookies.append(COOKIES.note_sign_in())
    cookies.append(COOKIES.note_sign_out("state", "/"))

    assert {pair_of(each).partition(b"=")[0] for each in cookies} == COOKIES.names


def test_a_recent_sign_in_is_noticed() -> None:
    pair = pair_of(COOKIES.note_sign_in())

    assert COOKIES.signed_in_recently([b"a=b; " + pair])
    assert not COOKIES.signed_in_recently([b"a=b"])
    assert not PLAIN.signed_in_recently([b"x" + pair])


@given(st.binary(max_size=300))
def test_any_bytes_as_cookie_are_an_attempt_or_none(raw: bytes) -> None:
    held = PLAIN.read([b"gateway_session_attempt_1=" + raw])

    for attempt in held.values():
        if attempt is not None:
            assert attempt.state
            assert find_attempt(held, "state", "acme", NOW) is None
