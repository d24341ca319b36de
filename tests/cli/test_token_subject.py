"""`gateway explain --token-file`: why an access token of a provider is refused."""

import asyncio
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.oidc.hostile import OTHER_RSA_KEY, HostileProvider, hostile_provider, says
from tests.oidc.test_bearer_walk import config_of, token_of


async def explained(folder: Path, provider: HostileProvider, token: str) -> Result:
    config, given = folder / "gateway.yaml", folder / "token.jwt"
    config.write_text(yaml.safe_dump(config_of(1, provider)))
    given.write_text(f"{token}\n")
    words = ["explain", "GET", "/api/x", "--token-file", str(given), "-c", str(config)]
    return await asyncio.to_thread(CliRunner().invoke, cli, words)


async def test_a_token_is_verified_and_explained(tmp_path: Path) -> None:
    async with hostile_provider() as provider:
        token = token_of(provider)
        good = await explained(tmp_path, provider, token)
        other = await explained(tmp_path, provider, token_of(provider, aud="x"))
        forged = await explained(tmp_path, provider, token_of(provider, OTHER_RSA_KEY))

    assert good.exit_code == 0, good.output
    assert "GET /api/x as the token, a program (bearer)" in good.output
    assert "X-Auth-User-Id: job-7" in good.output
    assert token not in good.output
    assert other.exit_code == 1
    assert "challenge (token_invalid)" in other.output
    assert "access token: aud is not an accepted audience" in other.output
    assert "access token: InvalidSignatureError" in forged.output


async def test_what_cannot_be_verified_is_one_line(tmp_path: Path) -> None:
    async with hostile_provider() as provider:
        stranger = await explained(
            tmp_path, provider, token_of(provider, iss="https://evil.example")
        )
        provider.answers["discovery"] = says("down", 503)
        down = await explained(tmp_path, provider, token_of(provider))

    for result in (stranger, down):
        assert result.exit_code == 1
        assert len(result.output.strip().splitlines()) == 1
    assert "no provider has `accept` for its issuer" in stranger.output
    assert "provider_unavailable" in down.output
