"""The reporters of one process."""

from dataclasses import asdict

import pytest

from gateway.server.reporting.reporter import Reporter, gateway_version
from gateway.sessions.redis.events import (
    InfoDenied,
    ReadRefused,
    ServerIsReplica,
    ServerSwitched,
    StoreEvent,
)
from tests.observe.lines import Lines
from tests.server.parts import loaded
from tests.server.reporting.contexts import counted


def test_all_reporters_count_in_one_place(lines: Lines) -> None:
    reporter = Reporter(lines.output)

    reporter.requests.request_started()
    reporter.process.connections(2)
    reporter.dependencies.store_event(ReadRefused("no master"))
    reporter.configure(loaded(log={"access": False}).config)

    assert reporter.metrics.requests_in_flight == 1
    assert counted(reporter, "gateway_connections_open 2.0")
    assert counted(reporter, 'gateway_store_refusals_total{cause="no_lease"} 1.0')
    assert not reporter.requests.access_wanted
    assert lines.raw() == b""


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (ServerSwitched(), "warning", "switched to another Redis server"),
        (InfoDenied(), "warning", "Redis denies INFO"),
        (ServerIsReplica("redis://cache"), "error", "sign-out is unavailable"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_of_the_store_is_logged_with_its_fields(
    lines: Lines, event: StoreEvent, level: str, text: str
) -> None:
    Reporter(lines.output).dependencies.store_event(event)

    (line,) = lines.events()
    assert line["log.level"] == level
    assert text in line["message"]
    assert {key: line[key] for key in asdict(event)} == asdict(event)


def test_the_version_is_that_of_the_package() -> None:
    assert gateway_version()[0].isdigit() or gateway_version() == "unknown"
