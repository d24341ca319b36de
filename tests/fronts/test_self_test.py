"""`gateway authz-test` through each front proxy; what it finds in a wrong one."""

import asyncio

from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.fronts.conftest import Site


async def self_test(site: Site, url: str | None = None) -> Result:
    url = url or f"http://127.0.0.1:{site.port}/dashboard"
    argv = ["authz-test", url, "-c", str(site.gateway.path)]
    return await asyncio.to_thread(CliRunner().invoke, cli, argv)


async def test_the_examples_pass_their_self_test(site: Site) -> None:
    result = await self_test(site)

    assert "FAIL" not in result.output
    assert result.exit_code == 0, result.output
    assert result.output.count("  pass  ") >= 20
    assert "X-Auth-User-Id" in result.output.splitlines()[-1]
    assert not site.app.seen


async def test_a_gateway_that_is_gone_is_found(site: Site) -> None:
    await site.gateway.app.close()
    if site.front.name == "haproxy":
        return  # it tries each probe again for seconds; the others show the same

    result = await self_test(site)

    assert result.exit_code == 1
    assert "  FAIL  an API client gets a 401" in result.output
    if site.front.name != "traefik":  # a 401 for a gateway that does not answer
        assert "no decision" in result.output


async def test_an_app_without_a_decision_is_found(site: Site) -> None:
    """The app itself, as if nothing asked the gateway."""
    result = await self_test(site, f"http://127.0.0.1:{site.app.port}/dashboard")

    assert result.exit_code == 1
    assert "FORWARDED TO THE APP" in result.output
    assert "  FAIL  no way around by /../" in result.output
