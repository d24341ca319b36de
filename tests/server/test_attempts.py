"""Failed attempts are counted by address, in bounded memory, and logged once."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.attempts import (
    MOST_ADDRESSES,
    MOST_LINES,
    MOST_SECRETS,
    Allowance,
    Attempts,
    Kind,
    source_of,
)

FIVE = Allowance(count=5, window=10.0)
A, B = "192.0.2.1", "192.0.2.2"


def spent(times: int = 5, source: str = A, now: float = 0.0) -> Attempts:
    attempts = Attempts(Kind.SESSION)
    for _ in range(times):
        attempts.charge(source, FIVE, now)
    return attempts


def test_an_address_has_its_allowance_and_no_more() -> None:
    attempts = spent(4)

    assert attempts.wait(A, FIVE, 0.0) == 0.0
    attempts.charge(A, FIVE, 0.0)
    assert attempts.wait(A, FIVE, 0.0) == 2.0
    assert attempts.wait(B, FIVE, 0.0) == 0.0


@pytest.mark.parametrize(("later", "wait"), [(0.0, 2.0), (1.0, 1.0), (2.0, 0.0)])
def test_an_attempt_comes_back_after_its_share_of_the_window(
    later: float, wait: float
) -> None:
    assert spent().wait(A, FIVE, later) == pytest.approx(wait)


def test_a_whole_window_later_all_attempts_are_back_and_none_beyond() -> None:
    attempts = spent()

    for _ in range(5):
        assert attempts.wait(A, FIVE, 100.0) == 0.0
        attempts.charge(A, FIVE, 100.0)
    assert attempts.wait(A, FIVE, 100.0) > 0


def test_attempts_that_ran_together_are_owed_for_one_window_at_most() -> None:
    attempts = spent(1000)

    assert 0 < attempts.wait(A, FIVE, 0.0) <= 12.0
    assert attempts.wait(A, FIVE, 12.1) == 0.0


def test_a_success_takes_its_own_attempt_back_and_no_other() -> None:
    attempts = spent()

    attempts.give_back(A, FIVE)
    attempts.give_back(B, FIVE)

    assert attempts.wait(A, FIVE, 0.0) == 0.0
    attempts.charge(A, FIVE, 0.0)
    assert attempts.wait(A, FIVE, 0.0) > 0


def test_a_clock_that_goes_back_gives_no_attempts() -> None:
    assert spent(now=100.0).wait(A, FIVE, 0.0) > 0


def test_a_smaller_allowance_after_a_reload_applies_at_once() -> None:
    attempts = Attempts(Kind.SESSION)
    attempts.charge(A, Allowance(count=1000, window=10.0), 0.0)

    for _ in range(5):
        attempts.charge(A, FIVE, 0.0)

    assert attempts.wait(A, FIVE, 0.0) > 0


@given(st.lists(st.floats(0, 3), max_size=200))
def test_over_any_time_no_more_attempts_pass_than_were_allowed(
    pauses: list[float],
) -> None:
    attempts, now, passed = Attempts(Kind.SESSION), 0.0, 0

    for pause in pauses:
        now += pause
        if attempts.wait(A, FIVE, now) == 0.0:
            attempts.charge(A, FIVE, now)
            passed += 1

    assert passed <= FIVE.count + now * FIVE.count / FIVE.window + 1e-6


def test_a_million_addresses_take_bounded_memory() -> None:
    attempts = Attempts(Kind.SESSION)

    for number in range(3 * MOST_ADDRESSES):
        attempts.charge(str(number), FIVE, 0.0)

    assert len(attempts) <= MOST_ADDRESSES


def test_addresses_whose_attempts_are_back_are_forgotten_first() -> None:
    attempts = Attempts(Kind.SESSION)
    for number in range(100):
        attempts.charge(str(number), FIVE, 0.0)

    for number in range(100):
        attempts.charge(f"b{number}", FIVE, 100.0)

    assert len(attempts) == 100


def test_who_goes_on_failing_is_not_forgotten_for_new_addresses() -> None:
    attempts = spent()

    for number in range(2 * MOST_ADDRESSES):
        attempts.charge(str(number), FIVE, 0.0)
        if number % 1000 == 0:
            attempts.charge(A, FIVE, 0.0)

    assert attempts.wait(A, FIVE, 0.0) > 0


def test_a_repeated_credential_is_known_for_a_window() -> None:
    attempts = Attempts(Kind.SESSION)
    attempts.remember(1, 0.0)

    assert attempts.is_repeated(1, FIVE, 9.9)
    assert not attempts.is_repeated(1, FIVE, 10.0)
    assert not attempts.is_repeated(2, FIVE, 0.0)


def test_the_credentials_that_are_remembered_are_bounded() -> None:
    attempts = Attempts(Kind.SESSION)

    for number in range(MOST_SECRETS + 1):
        attempts.remember(number, 0.0)

    assert not attempts.is_repeated(0, FIVE, 0.0)
    assert attempts.is_repeated(MOST_SECRETS, FIVE, 0.0)


def test_an_address_is_logged_once_a_window_with_what_was_refused_since() -> None:
    attempts = spent()

    first = attempts.refuse(A, FIVE, 0.0)
    silent = [attempts.refuse(A, FIVE, 1.0) for _ in range(1000)]
    later = attempts.refuse(A, FIVE, 10.0)

    assert first is not None
    assert (first.source, first.refused) == (A, 1)
    assert silent == [None] * 1000
    assert later is not None
    assert later.refused == 1001


def test_many_addresses_are_no_flood_of_lines_either() -> None:
    attempts = Attempts(Kind.SESSION)
    for number in range(1000):
        attempts.charge(str(number), FIVE, 0.0)

    lines = [attempts.refuse(str(number), FIVE, 1.0) for number in range(1000)]
    later = attempts.refuse("7", FIVE, 20.0)

    assert len([line for line in lines if line]) == MOST_LINES
    assert later is not None
    assert later.unlogged == 1000 - MOST_LINES


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_client_is_its_network_of_64_bits(address: str, source: str) -> None:
    assert source_of(ip_address(address)) == source


def test_without_an_address_nothing_is_counted() -> None:
    assert source_of(None) is None
