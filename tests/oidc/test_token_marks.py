"""How long a logout of the provider refuses the access tokens that it issued before."""

import time
from copy import deepcopy
from pathlib import Path
from urllib.parse import urlencode

from gateway.sessions.provider_token import LONGEST_LIFE
from tests.oidc.hostile import CLIENT, HostileProvider
from tests.oidc.test_bearer_walk import API, config_of, reason_of, token_of
from tests.oidc.test_logout_token import logout_token
from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, ask, running_gateway

ENDED = (401, "session_revoked")


async def log_out(gateway: Gateway, entry: str, token: str) -> int:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/.gateway/sign-in/{entry}/backchannel-logout"
    body = urlencode({"logout_token": token}).encode()
    return (await ask(gateway.port, "POST", path, form, body)).status


async def seconds_left(redis: Server) -> list[int]:
    names = redis.command_line("KEYS", "gateway:provider:*:ended")
    left = [redis.command_line("PTTL", name) for name in names]
    return [each // 1000 for each in left]


async def test_the_logout_of_another_client_of_the_issuer_shortens_nothing(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    redis.command_line("FLUSHALL")
    config = config_of(upstream.port, provider, identity={"id": "{provider}:{sub}"})
    providers = config["sign_in"]["providers"]
    providers["beta"] = deepcopy(providers["acme"]) | {"client_id": "gateway-b"}
    del providers["beta"]["accept"]
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        token = token_of(provider)
        assert await reason_of(gateway, token) == (200, "")
        for entry, client in (("acme", CLIENT), ("beta", "gateway-b")):
            ended = logout_token(
                provider.issuer, sub="job-7", sid=None, aud=client, jti=entry
            )
            assert await log_out(gateway, entry, ended) == 200

            assert await reason_of(gateway, token) == ENDED
            assert min(await seconds_left(redis)) > LONGEST_LIFE


async def test_a_mark_outlives_tokens_that_a_reload_lets_live_longer(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    redis.command_line("FLUSHALL")
    accept = {"audience": API, "max_lifetime": "10m"}
    config = config_of(upstream.port, provider, accept=accept)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        ended = logout_token(provider.issuer, sub="job-7", sid=None)
        assert await log_out(gateway, "acme", ended) == 200

        assert min(await seconds_left(redis)) > LONGEST_LIFE


async def test_a_logout_token_that_was_delayed_ends_no_less(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    redis.command_line("FLUSHALL")
    now = int(time.time())
    async with running_gateway(
        config_of(upstream.port, provider), tmp_path, redis.url
    ) as gateway:
        token = token_of(provider, iat=now - 50)
        for at in (now, now - 200):
            ended = logout_token(
                provider.issuer, sub="job-7", sid=None, iat=at, jti=str(at)
            )
            assert await log_out(gateway, "acme", ended) == 200

            assert await reason_of(gateway, token) == ENDED
