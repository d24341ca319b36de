from gateway.proxy.balance import Backend, Balance
from gateway.proxy.health import Cause
from gateway.proxy.target import TargetAddress


def backends(count: int) -> list[Backend]:
    return [
        Backend(TargetAddress(scheme="http", host=f"app{n}", port=80))
        for n in range(count)
    ]


def test_a_target_that_failed_is_left_out_for_longer_each_time() -> None:
    bad, good = both = backends(2)
    balance = Balance(both)

    for pause in (1, 2, 4, 8, 16, 30, 30):
        bad.eject(Cause.CONNECT, 100.0)
        assert bad.down_until == 100.0 + pause
        assert {balance.choose((), 100.0) for _ in range(4)} == {good}


def test_it_is_offered_to_one_request_when_its_pause_is_over() -> None:
    bad, good = both = backends(2)
    balance = Balance(both)
    bad.eject(Cause.CONNECT, 0.0)
    good.in_use = 5

    chosen = [balance.choose((), 1.5) for _ in range(4)]

    assert chosen.count(bad) == 1
    bad.readmit()
    assert balance.choose((), 1.5) is bad


def test_the_least_in_use_is_next_and_equals_take_turns() -> None:
    one, two, three = all_three = backends(3)
    balance = Balance(all_three)

    assert {balance.choose((), 0.0) for _ in range(3)} == {one, two, three}
    one.in_use = three.in_use = 1
    assert balance.choose((), 0.0) is two


def test_where_none_is_healthy_it_is_the_one_that_is_down_longest() -> None:
    one, two = both = backends(2)
    balance = Balance(both)
    two.eject(Cause.CONNECT, 0.0)
    one.eject(Cause.CONNECT, 0.5)

    assert balance.choose((), 0.6) is two
    assert balance.choose((two,), 0.6) is two


def test_a_single_target_is_always_it() -> None:
    [only] = one = backends(1)
    only.eject(Cause.CONNECT, 0.0)

    assert Balance(one).choose((only,), 0.0) is only
