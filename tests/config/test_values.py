"""How durations, sizes, addresses and paths are spelled."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from gateway.config import fields, patterns, values

GOOD = [
    (values.duration, "250ms", 0.25),
    (values.duration, "10s", 10.0),
    (values.duration, "1.5h", 5400.0),
    (values.duration, "7d", 604800.0),
    (values.size, 0, 0),
    (values.size, "32KiB", 32768),
    (values.size, "10MB", 10_000_000),
    (values.listen, "[::1]:80", "[::1]:80"),
    (values.listen, "Localhost:0", "localhost:0"),
    (values.listen, "unix:/run/g.sock", "unix:/run/g.sock"),
    (values.dns_server, "10.0.0.53", "10.0.0.53:53"),
    (values.dns_server, "10.0.0.53:5353", "10.0.0.53:5353"),
    (values.dns_server, "fd00::53", "[fd00::53]:53"),
    (values.dns_server, "[fd00::53]:5353", "[fd00::53]:5353"),
    (values.origin, "HTTPS://App.Example/", "https://app.example"),
    (values.upstream_url, "http://my_app:3000/", "http://my_app:3000"),
    (values.upstream_url, "unix:/run/app", "unix:/run/app"),
    (values.upstream_url, "https://[::1]:8443", "https://[::1]:8443"),
    (values.network, "10.0.0.0/8", "10.0.0.0/8"),
    (values.network, "::1", "::1/128"),
    (values.link, "/auth/login?refresh=true", "/auth/login?refresh=true"),
    (values.link, "https://id.example/login?a=b", "https://id.example/login?a=b"),
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
        (values.dns_server, each)
        for each in ("dns.test", "10.0.0", "10.0.0.53:", "10.0.0.53:0", "1.2.3.4:65536",
                     "[fd00::53", "[fd00::53]5", "1.2.3.4:5x", "", 53, None)
    ],
    (values.duration, "10"), (values.duration, "1e3s"), (values.duration, "-1s"),
    (values.duration, "99999d"), (values.duration, True), (values.duration, "\uff11s"),
    (values.size, -1), (values.size, True), (values.size, "1KiBs"), (values.size, 1.5),
    (values.listen, "a:"), (values.listen, "[::x]:80"), (values.listen, "a b:80"),
    (values.listen, "unix:run"), (values.listen, "http://a:80"), (values.listen, None),
    (values.origin, "https://a?b"), (values.origin, "ftp://a"), (values.origin, "https://"),
    (values.upstream_url, "http://a:99999"), (values.upstream_url, "http://[::x]"),
    (values.upstream_url, "http://u:p@a"), (values.upstream_url, "http://a/b"),
    (values.link, "//a"), (values.link, "/\\a"), (values.link, "javascript:x"),
    (values.link, "/a b"), (values.link, "/a\r\nX: y"), (values.link, "https://u@a/"),
    (values.redis_url, "http://a"), (values.redis_url, 1), (values.redis_url, "redis://"),
    (values.admin_token, "é" * 20), (values.admin_token, None),
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
    secret = values.Secret("hunter2")

    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret == values.Secret("hunter2")
    assert secret.get_secret_value() == "hunter2"


def test_where_to_listen_is_split() -> None:
    assert values.split_listen("[::1]:80") == ("::1", 80)
    assert values.split_listen("unix:/run/g") == Path("/run/g")
