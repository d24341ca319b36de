"""What is reported of the process, and what a scrape is answered."""

from pathlib import Path

from gateway.errors import (
    ConfigError,
    Problem,
)
from gateway.observe.shared import SharedCounts
from gateway.server.reporting.reporter import Reporter
from tests.observe.lines import Lines
from tests.server.parts import loaded
from tests.server.reporting.contexts import TEXT, reported


def test_a_wrong_admin_token_is_audited(lines: Lines) -> None:
    (line,) = reported(
        lines, lambda reporter: reporter.process.admin_refused("192.0.2.9")
    )

    assert (line["event.outcome"], line["client.address"]) == ("failure", "192.0.2.9")


def test_listening_is_logged_with_the_addresses(lines: Lines) -> None:
    doubt, line = reported(lines, lambda reporter: reporter.process.listening(loaded()))

    assert doubt["log.level"] == "warning"
    assert "gateway.yaml:16:3: embedded keys" in doubt["problem"]
    assert line["message"] == "listening"
    assert line["public_url"] == "https://app.example"
    assert line["routes"] == 2


def test_a_reload_reports_what_waits_for_a_restart(lines: Lines) -> None:
    reporter = Reporter(lines.output)

    reporter.process.reloaded(loaded(), ["server.listen"])

    events = lines.events()
    assert [one.get("event.action") or one["message"] for one in events] == [
        "sys_config_reload",
        "configuration reloaded",
        "restart required",
    ]
    assert events[-1]["keys"] == ["server.listen"]


def test_a_refused_reload_reports_every_problem(lines: Lines) -> None:
    problems = [
        Problem(file="g.yaml", line=at, column=1, message=f"wrong {at}")
        for at in (3, 7)
    ]

    audit, *logged = reported(
        lines, lambda reporter: reporter.process.reload_refused(ConfigError(problems))
    )

    assert (audit["event.outcome"], audit["gateway.problems"]) == ("failure", 2)
    assert [one["problem"] for one in logged] == [
        "g.yaml:3:1: wrong 3",
        "g.yaml:7:1: wrong 7",
    ]


def test_whichever_process_is_asked_answers_for_all(
    lines: Lines,
) -> None:
    shared = SharedCounts(2)
    reporter = Reporter(lines.output, shared=shared, place=1)
    other = Reporter(lines.output, shared=shared, place=2)
    other.process.connections(3)
    other.close()
    reporter.process.connections(4)

    text, _ = reporter.process.exposition(TEXT)

    assert "gateway_connections_open 7.0" in text.decode().splitlines()
    shared.close()
    lines.raw()


def test_alone_nothing_is_left_behind(lines: Lines, tmp_path: Path) -> None:
    reporter = Reporter(lines.output)

    reporter.process.share()
    reporter.close()

    assert list(tmp_path.iterdir()) == []
    lines.raw()
