"""When a target is ejected, for how long, and what takes it back."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.balance import Backend, Balance
from gateway.proxy.health import IN_A_ROW, Cause, Health
from gateway.proxy.target import TargetAddress


def backends(count: int) -> list[Backend]:
    return [
        Backend(TargetAddress(scheme="http", host=f"app{n}", port=80))
        for n in range(count)
    ]


def test_the_pause_doubles_up_to_half_a_minute_and_starts_over_when_forgotten() -> None:
    health = Health()

    pauses = []
    for _ in range(7):
        health.eject(Cause.NO_RESPONSE, 100.0)
        pauses.append(health.down_until - 100.0)
    health.readmit()
    health.forget()
    health.eject(Cause.NO_RESPONSE, 100.0)

    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert health.down_until == 101.0


def test_a_target_that_is_back_is_ejected_by_its_next_failure() -> None:
    health = Health()
    health.eject(Cause.SERVER_ERROR, 0.0)

    health.readmit()

    assert not health.ejected
    assert health.strikes == IN_A_ROW - 1


def test_an_unsafe_request_probes_only_what_no_safe_one_has_probed() -> None:
    for cause, at_once in ((Cause.CONNECT, True), (Cause.NO_RESPONSE, False)):
        health = Health()
        health.eject(cause, 0.0)

        assert not health.is_open(0.9, safe=True)
        assert health.is_open(1.0, safe=True)
        assert health.is_open(1.5, safe=False) is at_once
        assert health.is_open(2.0, safe=False)


def test_the_last_target_is_never_ejected() -> None:
    one, two = both = backends(2)
    balance = Balance(both)

    assert balance.may_eject(one, Cause.NO_RESPONSE)
    one.eject(Cause.NO_RESPONSE, 0.0)
    assert not balance.may_eject(two, Cause.NO_RESPONSE)
    [only] = alone = backends(1)
    assert not Balance(alone).may_eject(only, Cause.NO_RESPONSE)


def test_errors_take_out_half_of_the_targets_at_most() -> None:
    some = backends(5)
    balance = Balance(some)

    for backend in some:
        if balance.may_eject(backend, Cause.SERVER_ERROR):
            backend.eject(Cause.SERVER_ERROR, 0.0)

    assert sum(backend.ejected for backend in some) == 2
    assert balance.may_eject(some[3], Cause.NO_RESPONSE)


def test_where_none_is_healthy_one_that_takes_connections_comes_first() -> None:
    refusing, failing = both = backends(2)
    balance = Balance(both)
    failing.eject(Cause.SERVER_ERROR, 5.0)
    refusing.eject(Cause.CONNECT, 0.0)

    assert balance.choose((), 0.5) is failing
    assert balance.choose((refusing,), 0.5) is failing
    assert balance.choose((failing, refusing), 0.5) is refusing


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(Cause), st.floats(0, 40))),
    st.booleans(),
)
def test_there_is_always_a_target_and_it_is_healthy_if_one_is(
    events: list[tuple[int, Cause, float]], safe: bool
) -> None:
    some = backends(4)
    balance, now = Balance(some), 0.0
    for which, cause, passed in events:
        now += passed
        if cause is Cause.CONNECT or balance.may_eject(some[which], cause):
            some[which].eject(cause, now)

        chosen = balance.choose((), now, safe=safe)

        assert not chosen.ejected or chosen.probing
        if any(not backend.ejected for backend in some) and chosen.ejected:
            assert chosen.down_until > now  # the next request goes elsewhere
