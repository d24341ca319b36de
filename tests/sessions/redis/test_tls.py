"""One TLS context for connections with the same files."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import RedisSSLContext

from gateway.sessions.redis.tls import share_context
from tests.proxy.certificates import Authority


def made(**changes: Any) -> ssl.SSLContext:
    settings = RedisSSLContext(cert_reqs="required", check_hostname=True, **changes)
    share_context(settings)
    return settings.get()


def test_connections_with_the_same_files_share_a_context(tmp_path: Path) -> None:
    ca = str(Authority(tmp_path, "ca").path)

    assert made(ca_certs=ca) is made(ca_certs=ca)


def test_other_settings_have_a_context_of_their_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    certificate, key = map(str, authority.issue("client", "client"))
    ca = str(authority.path)

    plain = made(ca_certs=ca)

    assert plain is not made()
    assert plain is not made(ca_certs=ca, certfile=certificate, keyfile=key)


def test_a_file_that_is_renewed_makes_a_new_context(tmp_path: Path) -> None:
    ca = Path(Authority(tmp_path, "ca").path)
    before = made(ca_certs=str(ca))
    Path(Authority(tmp_path, "fresh").path).replace(ca)

    after = made(ca_certs=str(ca))

    assert after is not before
    assert after.get_ca_certs()[-1] != before.get_ca_certs()[-1]


def test_a_file_that_is_not_there_is_an_error_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(OSError, match="nowhere"):
            made(ca_certs=str(tmp_path / "nowhere.pem"))


def test_a_file_that_is_no_certificate_is_an_error_each_time(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            made(ca_certs=str(wrong))
