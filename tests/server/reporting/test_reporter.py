"""The reporters of one process."""

from gateway.server.reporting.reporter import Reporter, gateway_version
from tests.observe.lines import Lines
from tests.server.parts import loaded
from tests.server.reporting.contexts import counted


def test_all_reporters_count_in_one_place(lines: Lines) -> None:
    reporter = Reporter(lines.output)

    reporter.requests.request_started()
    reporter.process.connections(2)
    reporter.dependencies.store_event("store_refused", {})
    reporter.configure(loaded(log={"access": False}).config)

    assert reporter.metrics.requests_in_flight == 1
    assert counted(reporter, "gateway_connections_open 2.0")
    assert counted(reporter, 'gateway_store_refusals_total{cause="no_lease"} 1.0')
    assert not reporter.requests.access_wanted
    assert lines.raw() == b""


def test_the_version_is_that_of_the_package() -> None:
    assert gateway_version()[0].isdigit() or gateway_version() == "unknown"
