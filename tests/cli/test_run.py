"""`gateway run` serves, or says in a line or two why it does not."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from tests.servers import PATIENCE, free_port

CONFIG = """\
version: 1
server: {listen: 127.0.0.1:%d, admin: null}
redis: {url: "%s"}
tokens: {keys: %s}
upstreams: {a: {url: "http://127.0.0.1:1"}}
routes: [{match: "/**", rule: public, upstream: a}]
"""
AWAY = "redis://:hunter2@127.0.0.1:1/0"


def written(folder: Path, port: int, redis: str = AWAY, keys: str = "embedded") -> Path:
    file = folder / "g.yaml"
    file.write_text(CONFIG % (port, redis, keys))
    return file


def run(file: Path) -> subprocess.CompletedProcess[str]:
    """Run it as it is run, for as long as it takes to fail."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", "run", "-c", str(file)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("version: 2\n", "g.yaml:1:10: ", id="a version of later"),
        pytest.param("version: 1\nroutes: []\nserver: [\n", "g.yaml:", id="no YAML"),
        pytest.param(
            CONFIG.replace("rule:", "ruel:") % (1, AWAY, "embedded"),
            'did you mean "rule"?', id="a misspelt key",
        ),
    ],
)  # fmt: skip
def test_a_configuration_that_is_wrong_does_not_serve(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(text)

    result = CliRunner().invoke(cli, ["run", "-c", str(file)])

    assert (result.exit_code, result.stdout) == (1, "")
    assert expected in result.stderr
    assert "hunter2" not in result.stderr


def test_keys_that_are_not_there_are_reported_with_their_line(tmp_path: Path) -> None:
    result = run(written(tmp_path, free_port(), keys="nowhere"))

    assert result.returncode == 1
    assert "g.yaml:4:16: " in result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_that_is_taken_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        result = run(written(tmp_path, port))

    assert result.returncode == 1
    assert result.stderr == (
        f"error: cannot listen on 127.0.0.1:{port}: address already in use\n"
    )


def test_a_form_that_log_lines_do_not_have_is_not_understood(tmp_path: Path) -> None:
    file = written(tmp_path, 1)

    result = CliRunner().invoke(cli, ["run", "-c", str(file), "--log-format", "xml"])

    assert result.exit_code == 2
    assert "auto" in result.stderr


@pytest.mark.needs("valkey")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_brings_its_own_store_and_stops_with_zero(
    tmp_path: Path, number: signal.Signals
) -> None:
    file = written(tmp_path, free_port(), redis="embedded")
    command = [sys.executable, "-m", "gateway", "run", "-c", str(file)]

    # A socket's path must fit 108 bytes: tmp_path is too long to be its folder.
    with tempfile.TemporaryDirectory(prefix="gw-") as short:
        with subprocess.Popen(
            [*command, "--log-format", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": short},
        ) as process:
            assert process.stdout
            assert process.stderr
            address = process.stderr.readline().split()[-1]
            message = ""
            while message != "listening":
                message = json.loads(process.stdout.readline())["message"]
            held = [path.name for path in Path(short).iterdir()]
            others = ["sessions", "create", "-c", str(file), "--identity", "u"]
            made = CliRunner().invoke(cli, [*others, "--redis", address])
            lost = CliRunner().invoke(cli, others)
            process.send_signal(number)
            process.stdout.read()
            code = process.wait(PATIENCE)
        left = list(Path(short).iterdir())

    assert code == 0
    assert made.exit_code == 0, made.output
    assert (lost.exit_code, "redis.url is embedded" in lost.output) == (1, True)
    assert [name.rpartition("-")[0] for name in held] == ["gateway-redis"]
    assert left == []
