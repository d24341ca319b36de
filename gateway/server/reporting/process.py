"""Reports what the process does, and serves its metrics."""

import os
from collections.abc import Sequence

from gateway.config.load import LoadedConfig
from gateway.errors import ConfigError
from gateway.observe.audit_events import Actor
from gateway.observe.exposition import render_merged
from gateway.observe.shared import SharedCounts
from gateway.server.descriptors import descriptor_limit
from gateway.server.reporting.channels import Channels


class ProcessReporter:
    """Logs starts, reloads and shortages; publishes the counts of this process."""

    def __init__(
        self,
        channels: Channels,
        *,
        shared: SharedCounts | None,
        place: int,
        first: bool,
    ) -> None:
        self._log, self._audit = channels.log, channels.audit
        self._metrics, self._system = channels.metrics, channels.system
        self._sink = channels.output.sink
        self._shared, self._place, self._first = shared, place, first

    def connections(self, count: int) -> None:
        """Set the number of open client connections."""
        self._metrics.connections_open = count

    def shortage(self, what: str, missed: int) -> None:
        """Log an exhausted resource, and the number of failures."""
        self._log.error("out of " + what, missed=missed, limit=descriptor_limit())

    def admin_refused(self, client: str) -> None:
        """Write the audit event of a request with an invalid admin token."""
        self._audit.admin_refused(self._system.now(), Actor(client=client))

    def front_proxy_problem(
        self, mode: str, detail: str, setting: str, about: str
    ) -> None:
        """Log that a front proxy is not configured as it has to be."""
        self._log.warning(
            "the front proxy needs another configuration",
            mode=mode,
            problem=detail,
            setting=setting,
            about=about,
        )

    def listening(self, loaded: LoadedConfig) -> None:
        """Log that the gateway accepts requests, with configuration warnings."""
        config = loaded.config
        self._metrics.config_loaded(self._system.now())
        for warning in loaded.warnings:
            self._log.warning("configuration warning", problem=str(warning))
        needed, limit = 2 * config.server.limits.connections, descriptor_limit()
        if limit < needed:
            # One descriptor for the client, one for the upstream.
            self._log.warning(
                "open file limit is too low for server.limits.connections",
                limit=limit,
                needed=needed,
            )
        self._log.info(
            "listening",
            listen=list(config.server.listen),
            admin=config.server.admin,
            authz=config.server.authz,
            public_url=config.server.public_url,
            routes=len(config.routes),
            pid=os.getpid(),
        )

    def reloaded(self, loaded: LoadedConfig, waits: Sequence[str]) -> None:
        """Log a reload, and the keys that require a restart."""
        self._metrics.config_loaded(self._system.now())
        if self._first:
            self._audit.config_reloaded(self._system.now())
        self._log.info("configuration reloaded", routes=len(loaded.config.routes))
        if waits:
            self._log.warning("restart required", keys=list(waits))

    def reload_refused(self, error: ConfigError) -> None:
        """Log a failed reload; the previous configuration stays active."""
        self._metrics.config_refused()
        if self._first:
            self._audit.config_reloaded(
                self._system.now(), problems=len(error.problems)
            )
        for problem in error.problems:
            self._log.error("configuration reload failed", problem=str(problem))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all processes, and their content type."""
        self._metrics.log_lines_dropped = self._sink.dropped
        if self._shared is None:
            return self._metrics.render(accept=accept)
        self.share()
        return render_merged(self._shared.read_all(), accept=accept)

    def share(self) -> None:
        """Publish the counts of this process for the others."""
        if self._shared is None:
            return
        self._metrics.log_lines_dropped = self._sink.dropped
        self._shared.write(self._place, self._metrics.snapshot())
