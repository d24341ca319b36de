"""Devices and times as their owner would say them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.endpoints.devices import ago, device_name, distinguished, is_mobile

MOZILLA = "Mozilla/5.0 "


@pytest.mark.parametrize(
    ("user_agent", "name", "hand_held"),
    [
        pytest.param("", "Unknown device", False, id="nothing"),
        pytest.param("<script>alert(1)</script>", "Unknown device", False, id="markup"),
        pytest.param("Mozilla/5.0", "Unknown device", False, id="says no more"),
        pytest.param(MOZILLA + "(X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Linux", False, id="chrome"),
        pytest.param(MOZILLA + "(Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows", False, id="edge"),
        pytest.param(MOZILLA + "(Windows NT 10.0) Chrome/140.0 Safari/537.36 OPR/120.0", "Opera on Windows", False, id="opera"),
        pytest.param(MOZILLA + "(Macintosh; Intel Mac OS X 10_15_7) Version/18.5 Safari/605", "Safari on macOS", False, id="safari"),
        pytest.param(MOZILLA + "(iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Safari/604", "Safari on iPhone", True, id="iphone"),
        pytest.param(MOZILLA + "(iPad; CPU OS 18_5 like Mac OS X) CriOS/140 Safari/604", "Chrome on iPad", True, id="ipad"),
        pytest.param(MOZILLA + "(Linux; Android 15; Pixel 9) Chrome/140 Mobile Safari/537.36", "Chrome on Android", True, id="android"),
        pytest.param(MOZILLA + "(Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows", False, id="firefox"),
        pytest.param(MOZILLA + "(X11; CrOS x86_64 14541) Chrome/140 Safari/537.36", "Chrome on ChromeOS", False, id="chromebook"),
        pytest.param("curl/8.14.1", "curl", False, id="curl"),
    ],
)  # fmt: skip
def test_a_device_is_named_in_a_few_words(
    user_agent: str, name: str, hand_held: bool
) -> None:
    assert device_name(user_agent) == name
    assert is_mobile(user_agent) is hand_held


@given(st.text())
def test_what_is_sent_is_never_shown(user_agent: str) -> None:
    assert device_name(f"\u2603{user_agent}").isascii()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        pytest.param(-5.0, "just now", id="clocks disagree"),
        pytest.param(59.9, "just now", id="under a minute"),
        pytest.param(60.0, "1 minute ago", id="a minute"),
        pytest.param(3_599.0, "59 minutes ago", id="minutes"),
        pytest.param(3_600.0, "1 hour ago", id="an hour"),
        pytest.param(86_399.0, "23 hours ago", id="hours"),
        pytest.param(86_400.0, "yesterday", id="a day"),
        pytest.param(2 * 86_400.0, "2 days ago", id="days"),
    ],
)
def test_a_time_is_shown_relative_to_now(seconds: float, words: str) -> None:
    assert ago(seconds) == words


def test_devices_that_look_alike_are_distinguished_by_their_sign_in() -> None:
    def device(name: str, address: str, signed_in: float) -> dict[str, object]:
        return {
            "name": name,
            "address": address,
            "signed_in": signed_in,
            "since": "3 minutes ago",
        }

    listed = [
        device("Firefox on Linux", "192.0.2.1", 1_800_000_060.0),
        device("Firefox on Linux", "192.0.2.1", 1_800_000_000.0),
        device("Firefox on Linux", "192.0.2.2", 1_800_000_000.0),
        device("Firefox on Linux", "192.0.2.1", 0.0),
    ]

    shown = [(each["name"], each["since"]) for each in distinguished(listed)]

    assert shown == [
        ("Firefox on Linux (3)", "15 Jan 2027, 08:01:00 UTC"),
        ("Firefox on Linux (2)", "15 Jan 2027, 08:00:00 UTC"),
        ("Firefox on Linux", "3 minutes ago"),
        ("Firefox on Linux (1)", ""),
    ]
