import pytest
import uvloop

from tests.bench.calls import KINDS, Counts, ceilings, measure


def test_a_request_takes_no_more_calls_than_it_did() -> None:
    """The cost of the request path, as far as a busy machine can measure it.

    If more calls are worth it: `python -m tests.bench.calls --write`, and say in the
    commit what they buy. If a change saves calls, write the new figures as well.
    """
    allowed = ceilings()

    found = {kind: hook.counts() for kind, hook in uvloop.run(measure()).items()}

    assert sorted(found) == sorted(allowed) == sorted(KINDS)
    for kind, counts in found.items():
        assert counts.python_calls > 0
        assert counts.above(allowed[kind]) == [], kind
    # It has no upstream to exchange anything with.
    assert found["decision"].python_calls < found["GET"].python_calls


@pytest.mark.parametrize(
    ("counts", "above"),
    [
        (Counts(110, 239, 11, 55), []),
        (Counts(90, 1, 1, 1), []),
        (Counts(111, 200, 10, 50), ["python_calls: 111, at most 100"]),
        (
            Counts(100, 241, 12, 50),
            ["c_calls: 241, at most 200", "files: 12, at most 10"],
        ),
    ],
)
def test_what_is_above_its_ceiling_is_named(counts: Counts, above: list[str]) -> None:
    assert counts.above(Counts(100, 200, 10, 50)) == above
