"""A certificate is loaded, renewed, or refused with its line; nobody is asked for words."""

import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gateway.config.load import LoadedConfig
from gateway.errors import ConfigError
from gateway.server.tls import renew_certificate, server_tls
from tests.config.parsed import load, whole
from tests.proxy.certificates import Authority


def with_tls(certificate: object, key: object) -> LoadedConfig:
    return load(whole(f"server: {{tls: {{certificate: {certificate}, key: {key}}}}}"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


def encrypted(path: str) -> str:
    key = serialization.load_pem_private_key(Path(path).read_bytes(), None)
    Path(path).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return path


def wrong_pairs(authority: Authority) -> dict[str, tuple[str, str]]:
    certificate, key = authority.issue("server", "gw.test")
    _, other = authority.issue("other", "gw.test")
    _, locked = authority.issue("locked", "gw.test")
    return {
        "not there": (certificate + "x", key),
        "a key of another": (certificate, other),
        "no key": (certificate, certificate),
        "no certificate": (key, key),
        "nothing": (os.devnull, os.devnull),
        "a key behind a password": (certificate, encrypted(locked)),
    }


WHY = {
    "not there": "cannot read ",
    "a key of another": "the certificate or its key cannot be used: the key belongs to",
    "no key": " has no private key in PEM format",
    "no certificate": " has no certificate in PEM format",
    "nothing": " has no certificate in PEM format",
    "a key behind a password": " is protected by a password",
}


@pytest.mark.parametrize("name", WHY)
def test_what_cannot_be_used_is_reported_with_its_line(
    authority: Authority, name: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        server_tls(with_tls(*wrong_pairs(authority)[name]))

    (problem,) = caught.value.problems
    assert problem.line == 2
    assert WHY[name] in problem.message


def test_without_a_certificate_there_is_no_tls() -> None:
    assert server_tls(load(whole())) is None


def test_nothing_below_tls_12_is_spoken(authority: Authority) -> None:
    context = server_tls(with_tls(*authority.issue("server", "gw.test")))

    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("name", ["a key of another", "not there"])
def test_a_broken_renewal_leaves_the_certificate_of_before(
    authority: Authority, name: str
) -> None:
    broken = with_tls(*wrong_pairs(authority)[name])
    good = with_tls(*authority.issue("server", "gw.test"))
    context = server_tls(good)
    assert context is not None
    serial = shown(context, authority)

    with pytest.raises(ConfigError):
        renew_certificate(context, broken)
    assert shown(context, authority) == serial

    authority.issue("server", "gw.test")
    renew_certificate(context, good)
    assert shown(context, authority) != serial


def shown(context: ssl.SSLContext, authority: Authority) -> str:
    """Shake hands in memory; gives the serial number of what was shown."""
    trusting = ssl.create_default_context(cafile=str(authority.path))
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(down, up, server_hostname="gw.test")
    server = context.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert()
    assert found is not None
    return str(found["serialNumber"])
