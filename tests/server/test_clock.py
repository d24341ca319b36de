"""A clock that is set, slept through or wrong for a while: what the time then is."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.clock import SINCE_BOOT, UNDONE, Clock
from gateway.sessions.authenticate import DOUBTED
from tests.sessions.samples import NOW

YEAR = 365 * 86_400.0
HOUR = 3_600.0


@dataclass
class Machine:
    """The two clocks of a machine."""

    wall: float = NOW
    steady: float = 1_000.0

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_the_time_is_that_of_the_wall_clock(machine: Machine) -> None:
    clock = machine.clock()

    for seconds in (0.0, 0.001, 5.0, YEAR):
        machine.passes(seconds)
        assert clock.now() == pytest.approx(machine.wall, abs=1e-6)
        assert not clock.doubted()


@pytest.mark.parametrize("back", [0.5, 30.0, HOUR, 10 * YEAR])
def test_a_step_back_takes_no_time_back(machine: Machine, back: float) -> None:
    clock = machine.clock()
    machine.passes(100)
    before = clock.now()

    machine.wall -= back

    assert clock.now() == before
    machine.passes(10)
    assert before < clock.now() <= before + 10


def test_a_clock_that_was_ahead_is_met_again(machine: Machine) -> None:
    """A host that booted with a wrong time, and was corrected after the start."""
    machine.wall += HOUR
    clock = machine.clock()
    machine.wall -= HOUR

    last = clock.now()
    for _ in range(200):
        machine.passes(60)
        last = clock.now()

    assert last == pytest.approx(machine.wall, abs=1e-3)


@pytest.mark.parametrize("forward", [UNDONE + 1, HOUR, YEAR])
@pytest.mark.parametrize("lasts", [0.0, 10.0, HOUR, 86_400.0])
def test_a_step_forward_that_is_undone_leaves_nothing(
    machine: Machine, forward: float, lasts: float
) -> None:
    clock = machine.clock()
    machine.wall += forward
    assert clock.now() == machine.wall

    machine.passes(lasts)
    assert clock.now() == pytest.approx(machine.wall)
    machine.wall -= forward

    assert clock.now() == pytest.approx(machine.wall)
    assert not clock.doubted()


def test_beyond_what_was_before_a_step_forward_there_is_no_way_back(
    machine: Machine,
) -> None:
    clock = machine.clock()
    machine.passes(100)
    before = clock.now()
    machine.wall += YEAR
    clock.now()

    machine.wall -= YEAR + HOUR

    assert clock.now() >= before


def test_after_a_pause_of_the_machine_small_steps_back_are_held(
    machine: Machine,
) -> None:
    clock = machine.clock()
    machine.wall += 8 * HOUR  # nothing counted while the machine was halted
    resumed = clock.now()

    machine.wall -= 2 * UNDONE

    assert clock.now() >= resumed


def test_a_step_forward_is_doubted_for_a_while(machine: Machine) -> None:
    clock = machine.clock()
    machine.wall += HOUR
    clock.now()

    assert clock.doubted()
    machine.passes(DOUBTED)
    clock.now()
    assert not clock.doubted()


@given(
    steps=st.lists(
        # Not up to SMALL itself: times near 2e9 are rounded to a quarter microsecond.
        st.tuples(st.floats(0, 1_000), st.floats(-1e6, 0.999)),
        min_size=1,
        max_size=30,
    )
)
def test_no_steps_back_make_the_time_go_back(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock = machine.clock()
    last = clock.now()

    for passed, set_by in steps:
        machine.passes(passed)
        machine.wall += set_by
        now = clock.now()
        assert now >= last
        last = now


def test_a_count_that_restarts_takes_no_time_back(machine: Machine) -> None:
    clock = machine.clock()
    machine.passes(100)
    before = clock.now()

    machine.steady = 0.0
    machine.wall -= HOUR

    assert clock.now() == before
    machine.passes(10)
    assert before < clock.now() <= before + 10


def test_the_machine_counts_the_time_that_it_slept() -> None:
    first = SINCE_BOOT()

    assert SINCE_BOOT() >= first > 0
