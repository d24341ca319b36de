"""No client takes so much of a pool that others find nothing left."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.shares import Shares, share_key


def taken(shares: Shares, client: str, times: int) -> int:
    return sum(shares.take(client) for _ in range(times))


@pytest.mark.parametrize(
    ("size", "share", "most"),
    [(100, 0.5, 50), (10_000, 0.5, 5000), (10_000, 0.25, 2500), (16, 0.5, 8)],
)
def test_alone_a_client_gets_its_share(size: int, share: float, most: int) -> None:
    assert taken(Shares(size, share), "a", 2 * size) == most


@pytest.mark.parametrize(("size", "share"), [(15, 0.5), (2, 0.01), (100, 1.0)])
def test_a_small_pool_or_a_whole_share_is_not_divided(size: int, share: float) -> None:
    assert taken(Shares(size, share), "a", size) == size


def test_a_pool_that_is_not_divided_refuses_no_request_that_waits() -> None:
    """Requests that wait count too; the pool of connections has its own limit."""
    assert taken(Shares(8, 0.5), "a", 100) == 100
    assert taken(Shares(100, 1.0), "a", 300) == 300


@pytest.mark.parametrize("greedy", [1, 2, 5, 9])
def test_however_many_are_greedy_another_finds_a_place(greedy: int) -> None:
    shares = Shares(1000, 0.5)
    for _ in range(1000):
        for client in range(greedy):
            shares.take(f"greedy {client}")

    assert shares.total < 1000
    assert taken(shares, "another", 10) == 10


def test_what_is_given_back_can_be_taken_again() -> None:
    shares = Shares(100, 0.5)
    assert taken(shares, "a", 60) == 50

    shares.give_back("a")

    assert shares.take("a")
    assert not shares.take("a")


@given(
    st.integers(16, 200),
    st.floats(0.01, 0.99),
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=400),
)
def test_no_client_ever_holds_more_than_its_share(
    size: int, share: float, steps: list[tuple[str, bool]]
) -> None:
    shares, held = Shares(size, share), Counter[str]()

    for client, take in steps:
        if take:
            held[client] += shares.take(client)
        elif held[client]:
            shares.give_back(client)
            held[client] -= 1

        assert shares.held.get(client, 0) == held[client] <= size * share + 1
        assert shares.total == held.total()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_one_client_is_one(one: str, other: str) -> None:
    assert share_key(one) == share_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("unknown", ""),
    ],
)
def test_two_clients_are_two(one: str, other: str) -> None:
    assert share_key(one) != share_key(other)
