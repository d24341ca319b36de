"""`gateway routes` prints the table in the order in which routes win."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli

FILE = str(Path(__file__).parents[2] / "config/gateway.yaml")


def test_the_most_specific_route_comes_first() -> None:
    lines = CliRunner().invoke(cli, ["routes", "-c", FILE]).stdout.splitlines()

    assert lines[0].split() == [
        "HOST",
        "PATH",
        "METHODS",
        "RULE",
        "REQUIRE",
        "UPSTREAM",
        "SOURCE",
    ]
    assert lines[1].startswith("intern.localhost  /auth/**")
    assert lines[-1].split()[:2] == ["*", "/**"]


@pytest.mark.parametrize("option", [["--format", "json"], ["--json"]])
def test_the_table_can_be_read_by_programs(option: list[str]) -> None:
    rows = json.loads(CliRunner().invoke(cli, ["routes", "-c", FILE, *option]).stdout)

    assert len(rows) == 10
    assert rows[1]["require"] == "role admin|staff"
