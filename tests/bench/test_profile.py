from pathlib import Path

import pytest

from tests.bench.measuring import Sample
from tests.bench.profile import OTHER, STAGES, shares, stage_of, table

ROOT = Path(__file__).parents[2]
LOOP = "run (/usr/lib/python3.11/asyncio/runners.py:118)"
READ = "data_received (/srv/gateway/gateway/server/client_connection.py:90)"


@pytest.mark.parametrize(
    ("stack", "stage"),
    [
        pytest.param([LOOP], OTHER, id="no frame of the gateway"),
        pytest.param([LOOP, READ], "connection", id="a checkout of the same name"),
        pytest.param(
            [READ, "write (/srv/x/gateway/observe/logs.py:3)"],
            "access log and metrics",
            id="the innermost counts",
        ),
        pytest.param(
            [
                READ,
                "dumps (/srv/gateway/.venv/lib/python3.11/site-packages/jwt/a.py:1)",
            ],
            "connection",
            id="a library counts for its caller",
        ),
        pytest.param(
            ["load (/x/gateway/sessions/redis/lookup.py:9)"],
            "Redis",
            id="the longest prefix",
        ),
        pytest.param(
            ["main (/x/gateway/workers/worker.py:9)"], OTHER, id="in no stage"
        ),
    ],
)
def test_a_sample_belongs_to_a_stage(stack: list[str], stage: str) -> None:
    assert stage_of(";".join(stack)) == stage


def test_stages_share_the_samples() -> None:
    assert shares([f"{LOOP} 3", f"{LOOP};{READ} 1"]) == {
        OTHER: 0.75,
        "connection": 0.25,
    }


def test_a_profile_without_samples_is_none() -> None:
    with pytest.raises(ValueError, match="no sample"):
        shares([""])


def test_trees_are_columns() -> None:
    taken = Sample(
        cpu_us=200, per_second=1, p50=1, p99=1, peak_mib=1, requests=1, failures={}
    )

    found = table({"old": (taken, {"decide": 1.0}), "new": (taken, {OTHER: 0.5})})

    assert found.splitlines()[2:] == [
        "| decide | 100 | 200.0 | 0 | 0.0 |",
        "| event loop, kernel, other | 0 | 0.0 | 50 | 100.0 |",
        "| all | 100 | 200.0 | 100 | 200.0 |",
    ]


def test_every_stage_is_a_module_or_a_package() -> None:
    for each in STAGES:
        path = ROOT / "gateway" / each
        assert path.is_dir() or path.with_suffix(".py").exists(), each
