"""By which names the admin listener is reached: by no page's own."""

import pytest

from gateway.server.admin.hosts import is_allowed


@pytest.mark.parametrize(
    "given",
    [
        "127.0.0.1:9090",
        "127.0.0.1",
        "10.244.3.17:9090",
        "[::1]:9090",
        "[fd00::17]",
        "localhost",
        "LOCALHOST:9090",
        "localhost.",
        "gw.localhost:9090",
        "gateway:9090",
        "gw.internal",
        "GW.internal.:9090",
        "pod-7.gw.svc:9090",
        "a.b.gw.svc",
    ],
)
def test_what_no_page_of_a_stranger_is_called_is_allowed(given: str) -> None:
    assert is_allowed(given, ("gw.internal", "*.gw.svc"))


@pytest.mark.parametrize(
    "given",
    [
        "evil.example",
        "evil.example:9090",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-gw.internal",
        "gw.internal.evil.example",
        "gw.svc",
        "127.1",
        "0x7f.0.0.1",
        "127.0.0.256",
        "[::1",
        "[::1]x",
        "",
        " ",
        "a@127.0.0.1",
        "127.0.0.1, evil.example",
        "127.0.0.1:0",
        "bücher.example",
    ],
)
def test_every_other_name_is_refused(given: str) -> None:
    assert not is_allowed(given, ("gw.internal", "*.gw.svc"))
