"""`gateway authz-test` refuses what it cannot test; through proxies: tests/fronts."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gateway.cli import cli
from tests.server.parts import a_config
from tests.servers import free_port


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(a_config()))
    return path


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("app.example/api", "is not a URL"),
        ("ftp://app.example/api", "is not a URL"),
        ("https://app.example/a/../b", "is not a URL"),
        ("https:///api", "is not a URL"),
        ("https://app.example/", "is public (gateway.yaml"),
    ],
)
def test_the_page_must_require_a_session(config: Path, url: str, words: str) -> None:
    result = CliRunner().invoke(cli, ["authz-test", url, "-c", str(config)])

    assert result.exit_code == 1
    assert words in result.output


def test_a_proxy_that_does_not_answer_is_reported_once(config: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/api/x"

    result = CliRunner().invoke(cli, ["authz-test", url, "-c", str(config)])

    assert result.exit_code == 1
    origin = url.removesuffix("/api/x")
    refused = "[Errno 111] Connection refused"
    assert result.output == f"error: no response from {origin}: {refused}\n"
