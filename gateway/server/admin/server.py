"""The admin listener: its application, with what it reads of the running gateway."""

from collections.abc import Callable
from urllib.parse import urlsplit

from gateway.config.addresses import split_listen
from gateway.config.schema import Config
from gateway.errors import StoreUnavailable, TooManyAttempts
from gateway.server.accepting import Plain
from gateway.server.admin.application import admin_application
from gateway.server.admin.health import Health
from gateway.server.admin.identities import IdentityApi
from gateway.server.admin.listener import AdminRunner
from gateway.server.admin.sessions import SessionApi
from gateway.server.admin.tokens import TokenApi
from gateway.server.context import Services
from gateway.server.guessing import count_failed_admin
from gateway.server.reporting.reporter import Reporter
from gateway.server.runtime import Runtime


class AdminServer:
    """Serves probes, metrics and the session API of one process."""

    def __init__(
        self,
        *,
        services: Services,
        reporter: Reporter,
        config: Callable[[], Config],
        runtime: Callable[[], Runtime],
    ) -> None:
        """Create a server; nothing is opened yet.

        Args:
            services: the parts that survive a reload.
            reporter: provides the metrics, and logs invalid tokens.
            config: returns the active configuration.
            runtime: returns the same, compiled.
        """
        self._services = services
        self._reporter = reporter
        self._config = config
        self._runtime = runtime
        self._runner: AdminRunner | None = None

    async def start(self) -> Plain:
        """Start the application; return what serves a connection to it."""
        timeouts = self._config().server.timeouts
        self._runner = runner = AdminRunner(
            admin_application(
                health=Health({"redis": self._redis, "draining": self._draining}),
                sessions=SessionApi(self._services, lambda: self._runtime().rules),
                identities=IdentityApi(self._services),
                tokens=TokenApi(self._services),
                metrics=self._reporter.process.exposition,
                token=self._token,
                refused=self._refused,
                hosts=self._hosts,
            ),
            report=self._reporter.requests.log_unhandled_exception,
            request_headers=timeouts.request_headers,
            keepalive=timeouts.keepalive,
        )
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - made by setup()
        return Plain(runner.server)

    async def close(self) -> None:
        """Close its connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _refused(self, client: str) -> int:
        """Count a wrong admin token; return the seconds to wait for one too many."""
        try:
            count_failed_admin(client, self._runtime(), self._services)
        except TooManyAttempts as limited:
            return limited.retry_after
        self._reporter.process.admin_refused(client)
        return 0

    def _hosts(self) -> tuple[str, ...]:
        server = self._config().server
        place = None if server.admin is None else split_listen(server.admin)
        own = (place[0].lower(),) if isinstance(place, tuple) else ()
        # The DNS of the public name is under the operator's control.
        public = urlsplit(server.public_url).hostname or ""
        return (*server.admin_hosts, *own, public)

    def _token(self) -> str | None:
        secret = self._config().server.admin_token
        return None if secret is None else secret.get_secret_value()

    async def _redis(self) -> str | None:
        try:
            await self._services.store.ping()
        except StoreUnavailable as error:
            return str(error) or "the session store does not respond"
        return None

    async def _draining(self) -> str | None:
        return "shutting down" if self._services.draining else None
