import logging
import os
import pty
from typing import cast

import orjson
import pytest
import structlog

from gateway.observe.logs import Format, configure, json_line, set_level
from tests.observe.lines import Lines


@pytest.mark.parametrize(
    "event",
    [
        {"message": "\udc80"},
        {"message": "a\nb\x00\x1b[31m"},
        {"n": 1 << 80},
        cast("dict[str, object]", {1: "key"}),
        {"o": object},
    ],
)
def test_any_event_is_one_line_of_json(
    event: dict[str, object],
) -> None:
    line = json_line(event)

    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert isinstance(orjson.loads(line), dict)


def test_a_line_has_time_level_and_message() -> None:
    lines = Lines()
    structlog.get_logger().warning("key folder is empty", folder="/keys", tries=3)

    (event,) = lines.events()
    assert event.pop("@timestamp").endswith("Z")
    assert event == {
        "log.level": "warning",
        "event.dataset": "gateway.log",
        "message": "key folder is empty",
        "folder": "/keys",
        "tries": 3,
    }


def test_libraries_speak_through_the_same_log() -> None:
    lines = Lines()
    logging.getLogger("asyncio").warning("slow callback: %s", "x")
    logging.getLogger("asyncio").info("not told")
    wrong = "%s %s"
    logging.getLogger("asyncio").warning(wrong, "too few")

    first, second = lines.events()
    assert (first["log.logger"], first["message"]) == ("asyncio", "slow callback: x")
    assert second["message"] == "%s %s"


def test_an_exception_is_in_its_line() -> None:
    lines = Lines()
    try:
        _ = dict[str, str]()["no such thing"]
    except LookupError:
        structlog.get_logger().exception("failed")

    (event,) = lines.events()
    assert event["error.stack_trace"].endswith("KeyError")


def test_the_level_holds_and_can_be_changed() -> None:
    lines = Lines(level="warning")
    structlog.get_logger().info("not told")
    set_level("debug")
    structlog.get_logger().debug("told")

    assert [event["message"] for event in lines.events()] == ["told"]


@pytest.mark.parametrize(("level", "fmt"), [("loud", "json"), ("info", "xml")])
def test_unknown_words_are_refused(level: str, fmt: str) -> None:
    with pytest.raises(ValueError):
        configure(level, fmt, fd=1)


def test_a_terminal_gets_lines_for_people() -> None:
    leader, follower = pty.openpty()
    output = configure("info", Format.AUTO, fd=follower)
    assert output.console
    structlog.get_logger().error("bad\x1b[2Jthing", path="/a b")
    output.sink.close()

    reported = os.read(leader, 4096).decode()
    os.close(leader)
    os.close(follower)
    assert "bad\\x1b[2Jthing" in reported
    assert "path=" in reported
    assert "{" not in reported


@pytest.mark.parametrize("no_colour", [False, True])
def test_a_terminal_has_colours_unless_none_are_wanted(no_colour: bool) -> None:
    leader, follower = pty.openpty()
    output = configure("info", Format.AUTO, fd=follower, no_colour=no_colour)
    structlog.get_logger().error("it failed", path="/\x1b[31m")
    output.sink.close()

    reported = os.read(leader, 4096).decode()
    os.close(leader)
    os.close(follower)
    assert ("\x1b[" in reported) is not no_colour
    assert "it failed" in reported
    assert "/\\x1b[31m" in reported


def test_a_console_that_is_a_file_has_no_colours() -> None:
    lines = Lines(fmt="console")
    structlog.get_logger().error("it failed", path="/a")

    reported = lines.raw().decode()
    assert "\x1b" not in reported
    assert "error   it failed  path=/a" in reported


def test_an_exception_on_a_console_has_its_lines() -> None:
    lines = Lines(fmt="console")
    try:
        _ = dict[str, str]()["no such thing"]
    except LookupError:
        structlog.get_logger().exception("failed")

    reported = lines.raw().decode()
    assert "Traceback (most recent call last):\n" in reported
    assert "\nKeyError\n" in reported
