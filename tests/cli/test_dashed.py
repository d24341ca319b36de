"""Ids that look like options, on the command line."""

import click
import pytest
from click.testing import CliRunner

from gateway.cli.dashed import TakesId


@click.command(cls=TakesId)
@click.option("-c", "--config", default="")
@click.option("--force", is_flag=True)
@click.argument("name")
def show(config: str, force: bool, name: str) -> None:
    click.echo(f"{config}|{force}|{name}")


KID = "-cfHXEuQ1yB7Nn3sUW0bL2m9kVq4oRt6aZg8dJxPwYh"


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        (("-abc",), "|False|-abc"),
        ((KID,), f"|False|{KID}"),
        ((KID, "--force", "-c", "g.yaml"), f"g.yaml|True|{KID}"),
        (("-cg.yaml", KID), f"g.yaml|False|{KID}"),
        (("--config=g.yaml", "--" + "x" * 41), f"g.yaml|False|--{'x' * 41}"),
        (("-c", "-abc", "id"), "-abc|False|id"),
        (("--force", "--", "-x"), "|True|-x"),
        (("id", "--force"), "|True|id"),
    ],
)
def test_an_id_is_read_as_it_stands(arguments: tuple[str, ...], read: str) -> None:
    answer = CliRunner().invoke(show, list(arguments))

    assert answer.output.strip() == read


@click.command(cls=TakesId)
@click.option("--json", is_flag=True)
@click.argument("one")
@click.argument("two")
def join(json: bool, one: str, two: str) -> None:
    click.echo(f"{json}|{one}|{two}")


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ((KID, "t"), f"False|{KID}|t"),
        (("u", KID, "--json"), f"True|u|{KID}"),
        ((KID, "--json", "-abc"), f"True|{KID}|-abc"),
    ],
)
def test_two_ids_keep_their_order(arguments: tuple[str, ...], read: str) -> None:
    assert CliRunner().invoke(join, list(arguments)).output.strip() == read


@pytest.mark.parametrize("wrong", ["-x", "--forse", "--config"])
def test_what_may_be_a_mistyped_option_is_a_usage_error(wrong: str) -> None:
    assert CliRunner().invoke(show, ["id", wrong]).exit_code == 2
