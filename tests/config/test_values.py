"""How durations, sizes, addresses and paths are spelled."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from gateway.config import addresses, fields, patterns, quantities, secret_values, urls

GOOD = [
    (quantities.duration, "250ms", 0.25),
    (quantities.duration, "10s", 10.0),
    (quantities.duration, "1.5h", 5400.0),
    (quantities.duration, "7d", 604800.0),
    (quantities.size, 0, 0),
    (quantities.size, "32KiB", 32768),
    (quantities.size, "10MB", 10_000_000),
    (addresses.listen, "[::1]:80", "[::1]:80"),
    (addresses.listen, "Localhost:0", "localhost:0"),
    (addresses.listen, "unix:/run/g.sock", "unix:/run/g.sock"),
    (addresses.dns_server, "10.0.0.53", "10.0.0.53:53"),
    (addresses.dns_server, "10.0.0.53:5353", "10.0.0.53:5353"),
    (addresses.dns_server, "fd00::53", "[fd00::53]:53"),
    (addresses.dns_server, "[fd00::53]:5353", "[fd00::53]:5353"),
    (urls.origin, "HTTPS://App.Example/", "https://app.example"),
    (urls.upstream_url, "http://my_app:3000/", "http://my_app:3000"),
    (urls.upstream_url, "unix:/run/app", "unix:/run/app"),
    (urls.upstream_url, "https://[::1]:8443", "https://[::1]:8443"),
    (addresses.network, "10.0.0.0/8", "10.0.0.0/8"),
    (addresses.network, "::1", "::1/128"),
    (urls.link, "/auth/login?refresh=true", "/auth/login?refresh=true"),
    (urls.link, "https://id.example/login?a=b", "https://id.example/login?a=b"),
    (fields.host_pattern, "*.Example.com.", "*.example.com"),
    (fields.host_pattern, "{tenant}.example.com", "{tenant}.example.com"),
    (fields.admin_host, "Gateway.internal.", "gateway.internal"),
    (fields.admin_host, "*.GW.svc", "*.gw.svc"),
    (fields.escape, "%2f", "%2F"),
    (fields.header_name, "X-Forwarded-User", "X-Forwarded-User"),
    (patterns.path_pattern, "/a/{b}/c%20d/**", "/a/{b}/c%20d/**"),
    (patterns.path_pattern, "/**", "/**"),
    (patterns.path_pattern, "/a/", "/a/"),
    (patterns.identity_headers, {"X-A": "{{{identity.id}}}"}, {"X-A": "{{{identity.id}}}"}),
    (patterns.claims, {"a": (1, {"b": ("{tenant.id}",)})}, {"a": [1, {"b": ["{tenant.id}"]}]}),
]  # fmt: skip


@pytest.mark.parametrize(("read", "written", "meant"), GOOD)
def test_a_spelling_is_read(
    read: Callable[..., object],
    written: dict[str, str | tuple[int, dict[str, tuple[str]]]] | int | str,
    meant: dict[str, list[dict[str, list[str]] | int] | str] | float | str,
) -> None:
    assert read(written) == meant


BAD = [
    *[
        (addresses.dns_server, each)
        for each in ("dns.test", "10.0.0", "10.0.0.53:", "10.0.0.53:0", "1.2.3.4:65536",
                     "[fd00::53", "[fd00::53]5", "1.2.3.4:5x", "", 53, None)
    ],
    (quantities.duration, "10"), (quantities.duration, "1e3s"), (quantities.duration, "-1s"),
    (quantities.duration, "99999d"), (quantities.duration, True), (quantities.duration, "\uff11s"),
    (quantities.size, -1), (quantities.size, True), (quantities.size, "1KiBs"), (quantities.size, 1.5),
    (addresses.listen, "a:"), (addresses.listen, "[::x]:80"), (addresses.listen, "a b:80"),
    (addresses.listen, "unix:run"), (addresses.listen, "http://a:80"), (addresses.listen, None),
    (urls.origin, "https://a?b"), (urls.origin, "ftp://a"), (urls.origin, "https://"),
    (urls.upstream_url, "http://a:99999"), (urls.upstream_url, "http://[::x]"),
    (urls.upstream_url, "http://u:p@a"), (urls.upstream_url, "http://a/b"),
    (urls.link, "//a"), (urls.link, "/\\a"), (urls.link, "javascript:x"),
    (urls.link, "/a b"), (urls.link, "/a\r\nX: y"), (urls.link, "https://u@a/"),
    (secret_values.redis_url, "http://a"), (secret_values.redis_url, 1), (secret_values.redis_url, "redis://"),
    (secret_values.admin_token, "é" * 20), (secret_values.admin_token, None),
    (fields.header_name, "X Y"), (fields.header_name, "Transfer_Encoding"),
    (fields.header_name, "X-Forwarded-For"), (fields.header_name, "Proxy-Authorization"),
    (fields.host_pattern, "a:80"), (fields.host_pattern, "*"), (fields.host_pattern, "a..b"),
    (fields.admin_host, "a:80"), (fields.admin_host, "*"), (fields.admin_host, 7),
    (fields.method, "CONNECT"), (fields.method, "TRACE"), (fields.escape, "%00"),
    (fields.domain, "localhost"), (fields.domain, ""), (fields.cookie_name, "a;b"),
    (fields.tenant_source, {"host": "a.example.com"}), (fields.tenant_source, {}),
    (fields.tenant_source, {"path": "/t"}), (fields.tenant_source, {"header": "Host"}),
    (patterns.path_pattern, "a"), (patterns.path_pattern, "/a//b"),
    (patterns.path_pattern, "/{a}/{a}"), (patterns.path_pattern, "/a{b}"),
    (patterns.path_pattern, "/a?b"), (patterns.path_pattern, "/é"),
    (patterns.path_pattern, "/a;b/.."), (patterns.path_pattern, "/%zz"),
    (patterns.strip_prefix, "/"), (patterns.strip_prefix, "/a/**"),
    (patterns.strip_prefix, "/{a}"), (patterns.identity_headers, {"X": "a\nb"}),
    (patterns.identity_headers, {"X": "{identity.traits.}"}),
    (fields.stripped_header, "*"), (fields.stripped_header, ""),
    (fields.stripped_header, "X-*-Id"), (fields.stripped_header, "X-A**"),
    (fields.stripped_header, "X A"), (fields.stripped_header, 1),
    (fields.stripped_header, "Cookie"), (fields.stripped_header, "host"),
    (fields.stripped_header, "Sec-WebSocket-Key"), (fields.stripped_header, "Sec_*"),
    (fields.stripped_header, "S*"), (fields.stripped_header, "Transfer-Encoding"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "written"), BAD)
def test_what_is_not_of_the_language_is_refused(
    read: Callable[..., object], written: dict[str, str] | float | str | None
) -> None:
    with pytest.raises(PydanticCustomError):
        read(written)


def test_a_secret_is_never_shown() -> None:
    secret = secret_values.Secret("hunter2")

    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret == secret_values.Secret("hunter2")
    assert secret.get_secret_value() == "hunter2"


def test_where_to_listen_is_split() -> None:
    assert addresses.split_listen("[::1]:80") == ("::1", 80)
    assert addresses.split_listen("unix:/run/g") == Path("/run/g")
