"""The fuzz targets in short: every kept input again, and a few hundred new ones.

`make fuzz` runs each for ten minutes, guided by coverage. What it finds is kept in
`seeds/`, and so is an input of this test from then on.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

SEEDS = Path(__file__).parent / "seeds"
KEPT = [
    pytest.param(path.parent.name, path, id=f"{path.parent.name}-{path.name}")
    for path in sorted(SEEDS.glob("*/*"))
]


def test_every_target_has_seeds_and_every_seed_a_target() -> None:
    assert {folder.name for folder in SEEDS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize(("name", "path"), KEPT)
def test_what_was_kept_breaks_no_promise(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_new_breaks_no_promise(name: str) -> None:
    kept = [path.read_bytes() for path in sorted((SEEDS / name).iterdir())]
    short = [seed for seed in kept if len(seed) <= 4096] or kept[:1]

    @settings(max_examples=200, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=200), changed(short)))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


@st.composite
def changed(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with a few pieces cut out, repeated, or replaced by another's."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 40)))
        other = draw(st.sampled_from(seeds))[begin : begin + 20]
        piece = draw(
            st.one_of(
                st.binary(max_size=6), st.sampled_from([data[begin:end] * 2, other])
            )
        )
        data = data[:begin] + piece + data[end:]
    return data
