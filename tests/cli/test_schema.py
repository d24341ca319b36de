"""`gateway schema` prints what the repository holds."""

from pathlib import Path

from click.testing import CliRunner

from gateway.cli import cli

ROOT = Path(__file__).parents[2]


def test_the_schema_is_printed() -> None:
    printed = CliRunner().invoke(cli, ["schema"]).stdout

    assert printed == (ROOT / "config/gateway.schema.json").read_text()


def test_the_manual_page_is_printed() -> None:
    printed = CliRunner().invoke(cli, ["schema", "--markdown"]).stdout

    assert printed == (ROOT / "docs/configuration.md").read_text()
