"""The group of commands: found by name, told by exit code."""

import pytest
from click.testing import CliRunner

from gateway.cli import COMMANDS, cli


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_the_commands_that_exist(option: str) -> None:
    result = CliRunner().invoke(cli, [option])

    assert result.exit_code == 0
    assert all(f"  {name} " in result.stdout for name in ("check", "routes", "init"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest() -> None:
    result = CliRunner().invoke(cli, ["chek"])

    assert result.exit_code == 2
    assert 'there is no command "chek"; did you mean "check"?' in result.stderr


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout.startswith("gateway ")


def test_the_environment_may_name_the_file() -> None:
    result = CliRunner().invoke(
        cli, ["routes"], env={"GATEWAY_CONFIG": "from-env.yaml"}
    )

    assert result.exit_code == 1
    assert result.stderr.startswith("from-env.yaml: cannot read the file")
