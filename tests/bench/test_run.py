from pathlib import Path

import pytest

from tests.bench.figures import NGINX, TOKEN, Row
from tests.bench.install import Peers
from tests.bench.run import run
from tests.bench.special import Wanted
from tests.bench.systems.catalogue import PROGRAMS, SYSTEMS
from tests.bench.workloads import WORKLOADS

A_MOMENT = Wanted(rounds=1, seconds=0.2, idle=20, requests=100)


@pytest.mark.walk
@pytest.mark.needs("nginx", "wrk")
def test_two_systems_are_compared_and_a_third_is_named_as_missing(
    tmp_path: Path,
) -> None:
    seen: list[Row] = []

    found = run(
        ["small", "idle-ws"],
        ["nginx", "token", "many", "caddy"],
        A_MOMENT,
        folder=tmp_path,
        peers=Peers(tmp_path / "nothing"),
        progress=lambda rows, _: seen.extend(rows),
    )

    rows = {(row.workload, row.system): row for row in found.rows}
    assert found.rows == seen
    assert found.left_out.keys() == {"Caddy plain"}
    assert "python -m tests.bench install" in found.left_out["Caddy plain"]
    assert all(not row.failures for row in seen)
    ours = rows["Small GET", TOKEN]
    assert ours.ratios[NGINX].median > 1
    assert ours.extra["requests/s"] > 10
    idle = rows["Idle WebSockets (20)", SYSTEMS["many"].name]
    assert idle.median > 10


def test_every_workload_names_systems_and_every_system_a_program() -> None:
    for workload in WORKLOADS.values():
        assert set(workload.systems) <= set(SYSTEMS), workload.title
    assert {entry.program for entry in SYSTEMS.values()} == set(PROGRAMS)
