import pytest

from gateway.reasons import Reason
from tests.http.heads import head, names, refusal

KEEPS = [
    pytest.param((1, 1), None, True, id="1.1"),
    pytest.param((1, 1), "close", False, id="1.1-close"),
    pytest.param((1, 1), "keep-alive, Close", False, id="1.1-both"),
    pytest.param((1, 0), None, False, id="1.0"),
    pytest.param((1, 0), "Keep-Alive", False, id="1.0-keep-alive"),
    pytest.param((1, 0), "keep-alive, close", False, id="1.0-both"),
    pytest.param((1, 1), "closed", True, id="another-option"),
]


@pytest.mark.parametrize(("version", "value", "kept"), KEEPS)
def test_a_connection_is_kept_as_its_version_and_options_say(
    version: tuple[int, int], value: str | None, kept: bool
) -> None:
    fields = [] if value is None else [("Connection", value)]

    found = head(*fields, version=version)

    assert found.keep_alive is kept
    assert found.http_version == version


@pytest.mark.parametrize("wanted", ["h2c", "TLS/1.2", "", "websockets", "foo, h2c"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_protocol_is_ignored_and_dropped(wanted: str, method: str) -> None:
    found = head(
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", wanted),
        ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        method=method,
    )

    assert found.websocket is None
    assert found.keep_alive
    assert names(found) == []


def test_web_socket_among_several_protocols_is_judged() -> None:
    found = refusal(("Connection", "Upgrade"), ("Upgrade", "h2c, WebSocket"))

    assert (found.status, found.reason) == (400, Reason.BAD_UPGRADE)


def test_upgrades_on_two_lines_are_a_list() -> None:
    found = refusal(
        ("Connection", "upgrade"), ("Upgrade", "websocket"), ("Upgrade", "websocket")
    )

    assert found.reason is Reason.BAD_UPGRADE


IGNORED = [
    pytest.param([("Upgrade", "h2c")], {}, id="not-among-the-options"),
    pytest.param(
        [("Upgrade", "h2c"), ("Connection", "upgrade")], {"version": (1, 0)}, id="1.0"
    ),
    pytest.param(
        [("Upgrade", "websocket"), ("Connection", "upgrade")],
        {"method": "POST"},
        id="websocket-by-post",
    ),
    pytest.param(
        [("Upgrade", "websocket"), ("Connection", "upgrade"), ("Content-Length", "3")],
        {},
        id="websocket-with-a-body",
    ),
    pytest.param(
        [
            ("Upgrade", "websocket"),
            ("Connection", "upgrade"),
            ("Transfer-Encoding", "chunked"),
        ],
        {},
        id="websocket-with-a-chunked-body",
    ),
    pytest.param([("Connection", "upgrade")], {}, id="an-option-alone"),
]


@pytest.mark.parametrize(("fields", "request_line"), IGNORED)
def test_an_upgrade_without_a_protocol_is_dropped(
    fields: list[tuple[str, str]], request_line: dict[str, object]
) -> None:
    found = head(*fields, **request_line)

    assert found.websocket is None
    assert names(found) == []


@pytest.mark.parametrize("value", ["x 100-continue", "", "200-ok", "100-continue, x"])
def test_another_expectation_is_refused(value: str) -> None:
    found = refusal(("Expect", value), ("Content-Length", "5"))

    assert (found.status, found.reason) == (417, Reason.BAD_EXPECTATION)


EXPECTS = [
    pytest.param((1, 1), [("Content-Length", "5")], True, id="with-a-body"),
    pytest.param((1, 1), [("Transfer-Encoding", "chunked")], True, id="chunked"),
    pytest.param((1, 1), [], False, id="without-a-body"),
    pytest.param((1, 0), [("Content-Length", "5")], False, id="in-1.0"),
]


@pytest.mark.parametrize(("version", "fields", "expects"), EXPECTS)
def test_a_client_that_waits_has_a_body_to_send(
    version: tuple[int, int], fields: list[tuple[str, str]], expects: bool
) -> None:
    found = head(("Expect", "100-Continue"), *fields, version=version)

    assert found.expect_continue is expects
    assert names(found) == []


def test_an_unknown_expectation_in_http_1_0_is_none() -> None:
    assert not head(("Expect", "x"), version=(1, 0)).expect_continue
