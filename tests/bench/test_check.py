import json

import pytest

from tests.bench.check import (
    BASELINE,
    CHECKED,
    Verdict,
    differences,
    exit_code,
    here,
    judge,
)
from tests.bench.instructions import COUNTED, total


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        pytest.param([8.0] * 7, Verdict.HOLDS, id="as it was"),
        pytest.param([5.0] * 7, Verdict.HOLDS, id="cheaper"),
        pytest.param([8.79] * 7, Verdict.HOLDS, id="within a tenth"),
        pytest.param([8.81] * 7, Verdict.DEARER, id="beyond a tenth"),
        pytest.param([8.0] * 6 + [30.0], Verdict.HOLDS, id="one disturbed round"),
        pytest.param([12.0] * 6 + [1.0], Verdict.DEARER, id="one lucky round"),
        pytest.param([7.0, 9.0, 11.0] * 2 + [8.5], Verdict.OPEN, id="too noisy"),
        pytest.param(
            [8.6, 8.7, 8.8, 8.9, 9.0] * 9, Verdict.HOLDS, id="close, known well"
        ),
    ],
)
def test_a_median_is_judged_only_if_it_is_known(
    ratios: list[float], verdict: Verdict
) -> None:
    assert judge(ratios, 8.0) is verdict


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.HOLDS, Verdict.HOLDS], 0),
        ([Verdict.HOLDS, Verdict.OPEN], 2),
        ([Verdict.OPEN, Verdict.DEARER], 1),
    ],
)
def test_only_what_is_known_to_hold_passes(verdicts: list[Verdict], code: int) -> None:
    assert exit_code(verdicts) == code


def test_the_baseline_has_every_workload() -> None:
    committed = json.loads(BASELINE.read_text())

    assert committed["ratios"].keys() == CHECKED.keys()
    assert committed["instructions"].keys() == COUNTED.keys()
    assert committed["python"]
    assert committed["processor"]


def test_figures_of_another_machine_are_not_compared() -> None:
    other = {**here("cpu"), "processor": "abacus"}

    assert differences(here("cpu"), "cpu") == {}
    assert differences(other, "cpu") == {"processor": "abacus"}
    assert differences(other, "instructions") == {}
    assert differences({**other, "python": "2.7"}, "instructions") == {"python": "2.7"}


def test_the_instructions_of_a_dump_are_its_total() -> None:
    dump = "version: 1\nevents: Ir\nsummary: 5\nfn=(1) main\n12 4\ntotals: 87868443\n"

    assert total(dump) == 87_868_443


def test_a_dump_that_counted_nothing_has_none() -> None:
    assert total("version: 1\nevents: Ir\n") == 0
