"""`gateway init` writes a file that is right, and overwrites none."""

from pathlib import Path

from click.testing import CliRunner

from gateway.cli import cli
from gateway.config.load import load_config


def test_the_file_loads_and_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "new" / "gateway.yaml"
    arguments = ["init", "-c", str(file), "--upstream", "http://10.0.0.5:4000"]

    first = CliRunner().invoke(cli, arguments)
    file.write_text(file.read_text() + "# mine\n")
    second = CliRunner().invoke(cli, arguments)

    assert (first.exit_code, second.exit_code) == (0, 1)
    assert second.stderr == f"error: {file} exists; add --force to overwrite it\n"
    assert file.read_text().endswith("# mine\n")
    loaded = load_config(file, env={})
    assert loaded.config.upstreams["app"].url == ("http://10.0.0.5:4000",)
    checked = CliRunner().invoke(cli, ["check", "-c", str(file), "--offline"])
    assert (checked.exit_code, checked.stderr) == (0, "")


def test_force_replaces_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("mine")

    assert CliRunner().invoke(cli, ["init", "-c", str(file), "--force"]).exit_code == 0
    assert load_config(file, env={}).config.upstreams


def test_an_upstream_that_is_no_url_is_a_usage_error(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"

    result = CliRunner().invoke(cli, ["init", "-c", str(file), "--upstream", "x"])

    assert result.exit_code == 2
    assert not file.exists()
