"""`gateway explain --via`: the response that the authz listener would send."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gateway.cli import cli
from gateway.cli.explain_via import PROXIES
from tests.server.parts import a_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    document = a_config()
    document["server"] |= {"authz": "127.0.0.1:9091", "trusted_proxies": ["127.0.0.1"]}
    document["routes"].append(
        {"match": "/elsewhere/**", "rule": "protected", "upstream": None}
    )
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def via(config: Path, target: str, proxy: str, who: str) -> tuple[int, str, str]:
    """The exit code, what any explanation has, and what --via adds to it."""
    argv = ["explain", "GET", target, "--as", who, "-c", str(config)]
    plain = CliRunner().invoke(cli, argv)
    result = CliRunner().invoke(cli, [*argv, "--via", proxy])
    assert result.output.startswith(plain.output.rstrip("\n"))
    assert result.exit_code == plain.exit_code
    return result.exit_code, plain.output, result.output[len(plain.output) :]


@pytest.mark.parametrize("proxy", PROXIES)
def test_an_allowed_request_is_shown_with_every_header(
    config: Path, proxy: str
) -> None:
    code, _, shown = via(config, "/api/x", proxy, "member")

    assert code == 0
    assert f"via       {proxy}: /authz/{PROXIES[proxy]} responds 200" in shown
    assert "  X-Auth-User-Id: u_member" in shown
    assert "  Authorization: Bearer <database token>" in shown
    assert "  X-Auth-Assertion:\n" in shown
    assert ("X-Envoy-Auth-Headers-To-Remove" in shown) is (proxy == "envoy")


@pytest.mark.parametrize(
    ("proxy", "status"), [("nginx", 401), ("traefik", 302), ("envoy", 302)]
)
def test_a_redirect_is_shown_as_the_proxy_gets_it(
    config: Path, proxy: str, status: int
) -> None:
    code, _, shown = via(config, "/api/x", proxy, "anonymous")

    assert code == 1
    assert f"responds {status}" in shown
    assert "  Location: https://app.example/auth/login?return_to=" in shown


def test_a_path_of_the_gateway_is_refused_to_a_proxy(config: Path) -> None:
    _, _, shown = via(config, "/.gateway/account", "caddy", "member")

    assert "responds 404" in shown


def test_a_request_that_is_invalid_is_not_shown_as_a_decision(config: Path) -> None:
    code, plain, shown = via(config, "/a//b", "nginx", "member")

    assert code == 1
    assert "400" in plain
    assert shown.strip() == ""


def test_a_route_without_upstream_is_there_for_a_front_proxy_only(config: Path) -> None:
    argv = ["explain", "GET", "/elsewhere/x", "--as", "member", "-c", str(config)]
    plain = CliRunner().invoke(cli, argv)
    result = CliRunner().invoke(cli, [*argv, "--via", "nginx"])

    assert plain.exit_code == 1
    assert "404 no_route: the route has no upstream" in plain.output
    assert result.exit_code == 0
    assert "none: another proxy forwards the request" in result.output
    assert "  X-Auth-User-Id: u_member" in result.output
