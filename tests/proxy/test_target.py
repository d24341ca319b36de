import pytest

from gateway.proxy.target import TargetAddress, parse_target_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app",
        "app:80",
        "//app",
        "ftp://app",
        "http://",
        "http://:80",
        "http://user:password@app",
        "http://app/path",
        "http://app?x",
        "http://app/?",
        "http://app#x",
        "http://app:0",
        "http://app:65536",
        "http://app:x",
        "http://ap p",
        "http://a\\b",
        "http://ä",
        "unix:",
        "unix:run/app.sock",
        "unix://host/app.sock",
        "unix:/a\0b",
    ],
)
def test_what_is_not_a_place_to_connect_to_is_refused(url: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse_target_url(url)

    assert "password@" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "authority"),
    [
        ("http://127.0.0.1:3000", "http", "127.0.0.1", 3000, "127.0.0.1:3000"),
        ("http://app", "http", "app", 80, "app"),
        ("http://app/", "http", "app", 80, "app"),
        ("https://App.Example", "https", "app.example", 443, "app.example"),
        ("https://app:80", "https", "app", 80, "app:80"),
        ("http://[::1]:8080", "http", "::1", 8080, "[::1]:8080"),
    ],
)
def test_a_url_names_scheme_host_and_port(
    url: str, scheme: str, host: str, port: int, authority: str
) -> None:
    target = parse_target_url(url)

    assert target == TargetAddress(scheme=scheme, host=host, port=port)
    assert target.authority == authority


@pytest.mark.parametrize("url", ["unix:/run/app.sock", "unix:///run/app.sock"])
def test_a_unix_socket_is_a_path(url: str) -> None:
    target = parse_target_url(url)

    assert target.path == "/run/app.sock"
    assert target.authority == "localhost"
    assert str(target) == "unix:/run/app.sock"
