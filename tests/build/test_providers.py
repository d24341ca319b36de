"""Providers as they are compiled from a configuration."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gateway.build.providers import build_attempt_cookies, build_providers, redirect_uri
from gateway.errors import ConfigError
from gateway.oidc.provider import Provider
from tests.oidc.hostile import EC_KEY, RSA_KEY
from tests.server.parts import loaded

SECRET = "a-secret-of-a-client"


def acme(**changes: Any) -> dict[str, Any]:
    return {
        "issuer": "https://id.example.com/realms/acme",
        "client_id": "gateway",
        "client_secret": SECRET,
    } | changes


def provider(**changes: Any) -> Provider:
    config = loaded(sign_in={"providers": {"acme": acme(**changes)}})
    return build_providers(config, ticks=lambda: 0.0, resolver=None)["acme"]


async def test_the_redirect_uri_is_of_public_url_alone() -> None:
    settings = provider().settings

    assert settings.redirect_uri == redirect_uri("https://app.example", "acme")
    assert settings.redirect_uri == (
        "https://app.example/.gateway/sign-in/acme/callback"
    )
    assert settings.title == "acme"
    assert SECRET not in repr(settings)


async def test_domains_require_a_verified_address_unless_it_is_set() -> None:
    domains = {"email_domains": ["example.com"]}

    assert provider(allow=domains).settings.allow.verified_email
    relaxed = provider(allow=domains | {"verified_email": False})
    assert not relaxed.settings.allow.verified_email
    assert not provider().settings.allow.verified_email


async def test_groups_and_levels_are_tables() -> None:
    settings = provider(
        tenants={
            "claim": "{groups}",
            "groups": {"/acme": {"id": "t1", "role": "owner"}, "/b": [{"id": "t2"}]},
        },
        aal={"aal2": ["mfa", "otp"], "aal3": "hwk"},
    ).settings

    assert settings.levels == {"mfa": "aal2", "otp": "aal2", "hwk": "aal3"}
    assert settings.person.membership is not None
    (member,) = settings.person.membership["/acme"]
    assert (member.id, member.name, member.role) == ("t1", "t1", "owner")
    assert settings.person.tenants is not None
    assert settings.person.tenants.claims == {"groups"}


async def test_written_endpoints_make_discovery_needless() -> None:
    written = {
        "authorization": "https://id.example.com/a",
        "token": "https://id.example.com/t",
        "jwks": "https://id.example.com/j",
    }

    assert provider(endpoints=written).settings.endpoints.complete
    assert not provider(
        endpoints={"token": "https://x.example"}
    ).settings.endpoints.complete


async def test_a_file_of_authorities_that_is_missing_is_an_error(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="certificate authorities"):
        provider(ca=str(tmp_path / "missing.pem"))


@pytest.mark.parametrize(
    ("url", "name", "stem"),
    [
        ("https://app.example", "gateway_session", "__Host-gateway_session"),
        ("https://app.example", "__Host-own", "__Host-own"),
        ("http://localhost:8080", "gateway_session", "gateway_session"),
    ],
)
def test_attempts_are_host_only_whatever_the_session(
    url: str, name: str, stem: str
) -> None:
    config = loaded(
        server={"public_url": url}, sessions={"cookie": {"name": name}}
    ).config

    assert build_attempt_cookies(config).stem == stem


def test_the_key_of_attempts_is_that_of_the_client(tmp_path: Path) -> None:
    """The same in every replica, and known to no browser."""
    acme = {"issuer": "https://id.example", "client_id": "c"}
    key = {"id": "k1", "key": "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="}

    def key_of(more: dict[str, Any], **sign_in: Any) -> bytes:
        config = loaded(sign_in={"providers": {"acme": acme | more}} | sign_in).config
        return build_attempt_cookies(config).keys["acme"]

    secret = key_of({"client_secret": "one"})
    assert secret == key_of({"client_secret": "one", "title": "Acme"})
    file = {"client_key": {"file": pem(tmp_path, EC_KEY)}}
    absent = {"client_key": {"file": str(tmp_path / "absent.pem")}}
    found = [key_of(each) for each in ({"client_secret": "two"}, file, {}, absent)]
    found.append(key_of({}, encryption_keys=[key]))
    assert len({secret, *found}) == len(found)  # absent, as a public client
    assert not any(b"one" in each for each in found)


def pem(folder: Path, key: Any) -> str:
    file = folder / "client.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return str(file)


@pytest.mark.parametrize(
    ("content", "algorithm", "problem"),
    [
        pytest.param(b"not a key", None, "not a private key in PEM", id="no-key"),
        pytest.param(None, None, "the file cannot be read", id="no-file"),
        pytest.param(b"", "RS256", "not a private key in PEM", id="empty"),
    ],
)
def test_a_client_key_that_cannot_be_used_is_an_error(
    tmp_path: Path, content: bytes | None, algorithm: str | None, problem: str
) -> None:
    file = tmp_path / "client.pem"
    if content is not None:
        file.write_bytes(content)
    key = {"file": str(file), "algorithm": algorithm}

    with pytest.raises(ConfigError, match=problem):
        provider(client_secret=None, client_key=key)


def test_a_key_does_not_sign_another_algorithm(tmp_path: Path) -> None:
    key = {"file": pem(tmp_path, EC_KEY), "algorithm": "RS256"}

    with pytest.raises(ConfigError, match="a key for ES256 does not sign RS256"):
        provider(client_secret=None, client_key=key)


async def test_a_client_key_has_a_public_half_to_register(tmp_path: Path) -> None:
    key = {"file": pem(tmp_path, RSA_KEY), "algorithm": "PS256"}

    found = provider(client_secret=None, client_key=key).settings.client_key

    assert found is not None
    assert (found.algorithm, found.public["alg"]) == ("PS256", "PS256")
    assert found.kid == found.public["kid"]
    assert {"kty", "n", "e"} <= found.public.keys()
    assert "d" not in found.public
