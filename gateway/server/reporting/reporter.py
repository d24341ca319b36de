"""All reporters of one process, over the same log and metrics."""

import platform
from importlib.metadata import PackageNotFoundError, version

from gateway.config.schema import Config
from gateway.observe.audit import Audit
from gateway.observe.logs import LogOutput
from gateway.observe.metrics import Metrics
from gateway.observe.shared import SharedCounts
from gateway.server.reporting.channels import Channels
from gateway.server.reporting.dependencies import DependencyReporter
from gateway.server.reporting.process import ProcessReporter
from gateway.server.reporting.requests import RequestReporter


class Reporter:
    """The reporters of one process.

    requests      access lines, audit events, observations: implements `Report`
    dependencies  Redis, names, upstream targets
    process       start, reloads, shortages, `/metrics`
    """

    def __init__(
        self,
        output: LogOutput,
        *,
        shared: SharedCounts | None = None,
        place: int = 1,
        first: bool = True,
    ) -> None:
        """Create the reporters.

        Args:
            output: the log.
            shared: the counts of several processes, so that each can serve a scrape
                for all; None for a single process.
            place: index of this process in `shared`.
            first: whether this process writes the audit events common to all.
        """
        self.metrics = Metrics(
            version=gateway_version(), python=platform.python_version()
        )
        channels = Channels(output=output, audit=Audit(output), metrics=self.metrics)
        self.requests = RequestReporter(channels)
        self.dependencies = DependencyReporter(channels)
        self.process = ProcessReporter(
            channels, shared=shared, place=place, first=first
        )

    def configure(self, config: Config) -> None:
        """Apply the log settings of a configuration."""
        self.requests.access_wanted = config.log.access

    def close(self) -> None:
        """Publish the final counts."""
        self.process.share()


def gateway_version() -> str:
    """Return the installed version."""
    try:
        return version("auth-gateway")
    except PackageNotFoundError:
        return "unknown"
