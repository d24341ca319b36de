"""Other kinds of clients at npm's `oidc-provider`: a key, no secret, pushed requests."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gateway.build.providers import build_providers
from gateway.config.load import load_config
from gateway.oidc.attempt import new_attempt
from gateway.oidc.examination import examine
from tests.npm import node_modules
from tests.oidc.hostile import EC_KEY, OTHER_RSA_KEY, RSA_KEY, public_jwk
from tests.oidc.real import PACKAGES, SECRET, RealProvider, Visitor, real_provider
from tests.oidc.test_real_provider import config_of
from tests.oidc.walking import Browser
from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, running_gateway

pytestmark = [pytest.mark.needs("node", "npm"), pytest.mark.walk]


@pytest.fixture(scope="module")
def real(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[RealProvider]:
    packages = node_modules(PACKAGES, pytestconfig.cache.mkdir("npm"))
    keys = [public_jwk(RSA_KEY, "rsa"), public_jwk(EC_KEY, "ec")]
    with real_provider(
        tmp_path_factory.mktemp("idp"), packages, json.dumps({"keys": keys})
    ) as running:
        yield running


def pem(folder: Path, key: Any) -> str:
    file = folder / "client.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return str(file)


CLIENTS = [
    pytest.param("gateway-jwt", RSA_KEY, {"kid": "rsa"}, id="rs256"),
    pytest.param("gateway-jwt", RSA_KEY, {"kid": "rsa", "algorithm": "PS256"}, id="ps256"),
    pytest.param("gateway-jwt", EC_KEY, {"kid": "ec"}, id="es256"),
    pytest.param("gateway-jwt", EC_KEY, {"kid": "ec", "audience": "token_endpoint"}, id="for-the-endpoint"),
    pytest.param("gateway-public", None, None, id="public"),
    pytest.param("gateway-par", None, SECRET, id="must-push"),
    pytest.param("gateway-post", None, SECRET, id="post"),
]  # fmt: skip


def client(folder: Path, name: str, key: Any, how: Any) -> dict[str, Any]:
    changes: dict[str, Any] = {"client_id": name, "client_secret": None}
    if key is not None:
        changes["client_key"] = {"file": pem(folder, key)} | how
    elif how is not None:
        changes["client_secret"] = how
    if name == "gateway-post":
        changes["client_authentication"] = "post"
    return changes


def found(gateway: Gateway, real: RealProvider) -> Visitor:
    return Visitor(real, Browser(gateway))


@pytest.mark.parametrize(("name", "key", "how"), CLIENTS)
async def test_a_client_signs_users_in_and_check_finds_nothing(
    real: RealProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    name: str,
    key: Any,
    how: Any,
) -> None:
    config = config_of(real, upstream.port, **client(tmp_path, name, key, how))
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        visitor = found(gateway, real)
        reply = await visitor.sign_in()
        assert reply.status == 302, reply.body
        assert await visitor.browser.whoami() is not None
        loaded = load_config(gateway.path, env={})
    provider = build_providers(loaded, ticks=lambda: 0.0, resolver=None)["acme"]
    attempt = new_attempt("acme", bytes(32), time.time(), return_to="")
    assert await examine(provider, attempt) == []


async def test_a_key_that_is_not_registered_signs_no_one_in(
    real: RealProvider, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    changes = client(tmp_path, "gateway-jwt", OTHER_RSA_KEY, {"kid": "rsa"})
    config = config_of(real, upstream.port, **changes)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        visitor = found(gateway, real)
        reply = await visitor.browser.get("/.gateway/sign-in/acme")
        # It is pushed, so the visitor never gets there.
        assert reply.status == 502
        assert visitor.browser.session is None
        lines = await gateway.logged()
    assert "provider_refused" in str(lines)
    assert "client_assertion" not in str(lines)
