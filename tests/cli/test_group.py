"""The group of commands: found by name, told by exit code."""

import subprocess
import sys
from collections.abc import Iterator

import click
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
    assert 'unknown command "chek"; did you mean "check"?' in result.stderr


def test_the_version_is_printed() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout.startswith("gateway ")


def test_the_environment_may_name_the_file() -> None:
    result = CliRunner().invoke(
        cli, ["routes"], env={"GATEWAY_CONFIG": "from-env.yaml"}
    )

    assert result.exit_code == 1
    assert result.stderr.startswith("error: from-env.yaml: cannot read the file")


def helped() -> Iterator[tuple[str, ...]]:
    """Yield the words of every group and command."""
    yield ()
    context = click.Context(cli)
    for name in COMMANDS:
        yield (name,)
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, each) for each in command.list_commands(context))


@pytest.mark.parametrize("words", [*helped()], ids=" ".join)
def test_no_line_of_a_help_text_is_cut(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert not [
        line for line in lines if line.endswith("...") and "[ARGS]..." not in line
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["check", "-c", "nowhere.yaml"], 1, id="a file"),
        pytest.param(["sessions", "show"], 2, id="usage"),
        pytest.param(["keys", "new", "--folder", "/dev/null/x"], 1, id="a command"),
    ],
)
def test_every_error_is_written_in_one_style(words: list[str], code: int) -> None:
    result = CliRunner().invoke(cli, words)

    assert result.exit_code == code
    assert any(line.startswith("error: ") for line in result.stderr.splitlines())


def test_what_was_imported_is_never_walked_by_the_collector() -> None:
    program = (
        "import gc, click, gateway.__main__; from gateway.cli import cli;"
        "before = gc.isenabled(); cli.get_command(click.Context(cli), 'check');"
        "print(before, gc.isenabled(), gc.get_freeze_count() > 10_000)"
    )

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert found.stdout.split() == ["False", "True", "True"]
