"""Where Redis is, from one URL."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.redis.url import RedisAddress, RedisKind, parse_redis_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis",
        "http://h",
        "embedded",
        "redis://",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h/x",
        "redis://h/0/1",
        "redis://h/-1",
        "redis://a,b",
        "redis://[::1",
        "redis://[::1]6379",
        "redis://h?ssl_ca_certs=/x",
        "rediss://h?ssl_cert_reqs=none",
        "rediss://h?ssl_check_hostname=false",
        "unix://run/redis.sock",
        "unix:///s?db=x",
        "unix:///s?x=1",
        "redis+sentinel://h",
        "redis+sentinel://h/",
        "redis+sentinel://h/name/0/1",
        "redis+cluster://h/1",
        "redis+cluster://h,",
        "redis://h/\u0661",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_without_repeating_it(url: str) -> None:
    secret = url.replace("://", "://user:hunter2@")

    for each in (url, secret):
        with pytest.raises(ValueError, match=r".") as caught:
            parse_redis_url(each)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "address", "printed"),
    [
        (
            "redis://h",
            RedisAddress(kind=RedisKind.SERVER, hosts=(("h", 6379),)),
            "redis://h:6379",
        ),
        (
            "rediss://u%40x:p%3A@[::1]:7000/3?ssl_ca_certs=/ca.pem",
            RedisAddress(
                kind=RedisKind.SERVER,
                hosts=(("::1", 7000),),
                db=3,
                username="u@x",
                password="p:",
                tls=True,
                options=(("ssl_ca_certs", "/ca.pem"),),
            ),
            "rediss://[::1]:7000/3",
        ),
        (
            "redis://:p@h:1/0",
            RedisAddress(kind=RedisKind.SERVER, hosts=(("h", 1),), password="p"),
            "redis://h:1",
        ),
        (
            "unix:///run/my%20redis.sock?db=2",
            RedisAddress(kind=RedisKind.UNIX, path="/run/my redis.sock", db=2),
            "unix:///run/my redis.sock",
        ),
        (
            "unix:/run/s",
            RedisAddress(kind=RedisKind.UNIX, path="/run/s"),
            "unix:///run/s",
        ),
        (
            "unix://u:p@/run/s",
            RedisAddress(
                kind=RedisKind.UNIX, path="/run/s", username="u", password="p"
            ),
            "unix:///run/s",
        ),
        (
            "redis+sentinel://u:p@a,b:9/main/4?sentinel_password=s",
            RedisAddress(
                kind=RedisKind.SENTINEL,
                hosts=(("a", 26379), ("b", 9)),
                service="main",
                db=4,
                username="u",
                password="p",
                options=(("sentinel_password", "s"),),
            ),
            "redis+sentinel://a:26379,b:9/main/4",
        ),
        (
            "rediss+cluster://a,b:7001",
            RedisAddress(
                kind=RedisKind.CLUSTER, hosts=(("a", 6379), ("b", 7001)), tls=True
            ),
            "rediss+cluster://a:6379,b:7001",
        ),
    ],
)
def test_each_kind_of_url_is_read_and_printed_without_secrets(
    url: str, address: RedisAddress, printed: str
) -> None:
    assert parse_redis_url(url) == address
    assert str(parse_redis_url(url)) == printed


def test_no_password_prints() -> None:
    address = parse_redis_url(
        "redis+sentinel://u:hunter2@a/main?sentinel_password=hunter3"
    )

    assert "hunter" not in f"{address!r} {address}"
    assert address.option("sentinel_password") == "hunter3"
    assert address.option("sentinel_username") is None


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for prefix in ("", "redis://", "unix:", "redis+sentinel://"):
        with suppress(ValueError):
            parse_redis_url(prefix + text)
