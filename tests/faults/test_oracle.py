"""The oracle finds each kind of wrong; without these the rows could not fail."""

from typing import Any

import pytest

from tests.faults.oracle import Expect, Oracle, State, TrackedSession, Visit
from tests.faults.wire import Failure


def live() -> TrackedSession:
    return TrackedSession("u-1", "gateway_session=a")


def over() -> TrackedSession:
    return TrackedSession("u-2", "gateway_session=b", state=State.ENDED)


def a_get(oracle: Oracle, session: TrackedSession | None, **known: Any) -> Visit:
    return oracle.start("v", "protected", "GET", Expect.SESSION, session, **known)


def answered(oracle: Oracle, visit: Visit, status: int) -> Oracle:
    visit.status = status
    oracle.settle(visit)
    return oracle


def test_a_served_session_and_a_refused_ended_one_are_right() -> None:
    oracle = Oracle()
    visit = a_get(oracle, live())
    oracle.arrived("v", "u-1", None)
    answered(oracle, visit, 200)
    answered(oracle, a_get(oracle, over()), 401)

    found = oracle.close()

    assert found.visits == 2
    assert not any(
        (found.wrong_allows, found.wrong_denies, found.lost, found.sent_twice)
    )


@pytest.mark.parametrize("unknown", [True, False])
def test_an_ended_or_unknown_session_that_is_served_is_a_wrong_allow(
    unknown: bool,
) -> None:
    oracle = Oracle()
    session = live() if unknown else over()

    answered(oracle, a_get(oracle, session, unknown=unknown), 200)

    assert oracle.close().wrong_allows


def test_an_ended_session_that_came_to_the_upstream_is_a_wrong_allow() -> None:
    oracle = Oracle()
    visit = a_get(oracle, over())
    oracle.arrived("v", "u-2", None)
    visit.failure = Failure.TIMEOUT
    oracle.settle(visit)

    assert oracle.close().wrong_allows


@pytest.mark.parametrize("identity", ["u-other", None])
def test_another_identity_or_none_is_a_wrong_allow(identity: str | None) -> None:
    oracle = Oracle()
    visit = a_get(oracle, live())
    oracle.arrived("v", identity, None)

    answered(oracle, visit, 200)

    assert oracle.close().wrong_allows


def test_an_ended_session_on_a_public_route_is_unauthenticated() -> None:
    oracle = Oracle()
    visit = oracle.start("v", "public", "GET", Expect.SERVED, over())
    oracle.arrived("v", "u-2", None)

    answered(oracle, visit, 200)

    assert oracle.close().wrong_allows


@pytest.mark.parametrize("status", [401, 403, 302, 303])
def test_a_live_session_that_is_refused_is_a_wrong_deny(status: int) -> None:
    oracle = Oracle()

    answered(oracle, a_get(oracle, live()), status)

    assert oracle.close().wrong_denies


def test_a_cleared_cookie_of_a_live_session_is_a_wrong_deny_whatever_the_status() -> (
    None
):
    oracle = Oracle()
    visit = a_get(oracle, live())
    visit.cleared = True

    answered(oracle, visit, 503)

    (found,) = oracle.close().wrong_denies
    assert "cookie cleared" in found


@pytest.mark.parametrize("state", [State.ENDING, State.ENDED])
def test_nothing_is_certain_of_a_session_while_its_sign_out_is_under_way(
    state: State,
) -> None:
    oracle = Oracle()
    session = live()
    visit = a_get(oracle, session)
    session.state = state

    answered(oracle, visit, 401)

    assert not oracle.close().wrong_denies


def test_a_post_that_came_twice_is_sent_twice_even_after_its_response() -> None:
    oracle = Oracle()
    visit = oracle.start("v", "post", "POST", Expect.SESSION, live())
    oracle.arrived("v", "u-1", None)
    answered(oracle, visit, 200)
    oracle.arrived("v", "u-1", None)

    late = oracle.findings.sent_twice.copy()
    visit = oracle.start("w", "post", "POST", Expect.SESSION, live())
    oracle.arrived("w", "u-1", None)
    oracle.arrived("w", "u-1", None)
    answered(oracle, visit, 502)

    assert late
    assert len(oracle.close().sent_twice) == 2


def test_a_request_whose_client_left_may_arrive_late() -> None:
    oracle = Oracle()
    oracle.forget(a_get(oracle, live()))
    oracle.arrived("v", "u-1", None)

    assert not oracle.close().sent_twice


def test_a_body_that_came_as_another_is_damaged() -> None:
    oracle = Oracle()
    visit = oracle.start("v", "post", "POST", Expect.SESSION, live(), digest="1")
    oracle.arrived("v", "u-1", "2")

    answered(oracle, visit, 200)

    assert oracle.close().damaged


def test_a_2xx_that_the_upstream_never_saw_is_lost() -> None:
    oracle = Oracle()

    answered(oracle, a_get(oracle, live()), 200)

    assert oracle.close().lost


def test_no_response_is_lost_but_for_a_kept_connection_that_was_closing() -> None:
    oracle = Oracle()
    lost = a_get(oracle, live())
    lost.failure = Failure.CLOSED
    oracle.settle(lost)
    raced = oracle.start("w", "post", "POST", Expect.SESSION, live())
    raced.failure, raced.raced = Failure.CLOSED, True
    oracle.settle(raced)

    found = oracle.close()

    assert (len(found.lost), found.raced) == (1, 1)


def test_a_kept_connection_that_closed_with_a_request_delivered_is_lost() -> None:
    oracle = Oracle()
    visit = oracle.start("v", "post", "POST", Expect.SESSION, live())
    oracle.arrived("v", "u-1", None)
    visit.failure, visit.raced = Failure.CLOSED, True
    oracle.settle(visit)

    assert oracle.close().lost


@pytest.mark.parametrize("state", State)
def test_a_response_that_breaks_off_is_right_only_with_the_end_of_its_session(
    state: State,
) -> None:
    oracle = Oracle()
    session = live()
    visit = a_get(oracle, session)
    session.state = state
    visit.failure = Failure.TRUNCATED
    oracle.settle(visit)

    assert bool(oracle.close().truncated) is (state is State.LIVE)


def test_a_500_is_an_error_and_a_503_is_not() -> None:
    oracle = Oracle()

    answered(oracle, a_get(oracle, live()), 500)
    answered(oracle, a_get(oracle, live()), 503)

    found = oracle.close()
    assert (len(found.errors), found.unavailable) == (1, 1)
