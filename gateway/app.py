"""The composition root: opens and closes the parts of one process, in order.

`App` has the listeners, the store and the active configuration. A reload builds a
whole new `Runtime` next to the old one and swaps one reference; if building fails, the
old one stays active.
"""

import asyncio
import ssl
from collections.abc import Mapping

from gateway.build.dns import build_dns
from gateway.build.listeners import addresses_of
from gateway.build.process import build_process, build_stores
from gateway.build.ring import build_ring
from gateway.build.runtime import build_runtime
from gateway.config.load import LoadedConfig, load_config
from gateway.config.restart import check_same_kind, waits_for_restart
from gateway.config.secrecy import secrets_of
from gateway.errors import ConfigError, GatewayError
from gateway.net.resolver import Resolver
from gateway.observe.logs import LogOutput, set_level
from gateway.observe.shared import SharedCounts
from gateway.reasons import Reason
from gateway.server.background import (
    BackgroundTasks,
    log_store_warnings,
    publish_counts,
)
from gateway.server.context import Services
from gateway.server.descriptors import Shortage
from gateway.server.reporting.reporter import Reporter
from gateway.server.request_reader import require_c_parser
from gateway.server.runtime import Runtime
from gateway.server.sockets import Listeners, bind_all
from gateway.server.system import System
from gateway.server.tls import renew_certificate, server_tls
from gateway.sessions.store import SessionSource
from gateway.tokens.ring import KeyRing


class App:
    """One process of the gateway."""

    def __init__(
        self,
        loaded: LoadedConfig,
        *,
        ring: KeyRing,
        output: LogOutput,
        env: Mapping[str, str],
        redis_url: str | None = None,
        listeners: Listeners | None = None,
        shared: SharedCounts | None = None,
        place: int = 1,
        first: bool = True,
    ) -> None:
        """Create an app; nothing is opened yet.

        Args:
            loaded: the configuration to start with.
            ring: the signing keys, the same in every process.
            output: where log lines go.
            env: for `${VAR}` when the file is read again.
            redis_url: URL of an embedded Redis; replaces that of the file.
            listeners: listening sockets for every address of the configuration;
                None: `open` binds them.
            shared: the counts of several processes, merged in a scrape.
            place: index of this process in `shared`.
            first: whether this process reports events common to all processes.
        """
        self._loaded = loaded
        self._started = loaded.config
        self._ring = ring
        self._env = env
        self._output = output
        self._redis_url = redis_url
        self._system = System()
        self._reporter = Reporter(output, shared=shared, place=place, first=first)
        # Two resolvers, so that pending look-ups of one do not block the other.
        dns, on_change = (
            build_dns(loaded.config),
            self._reporter.dependencies.name_changed,
        )
        self._names = Resolver(dns, on_change=on_change)
        self._redis_names = Resolver(dns, on_change=on_change, in_turn=False)
        self._given, self._listeners = listeners, listeners
        self._tls: ssl.SSLContext | None = None
        self._tasks = BackgroundTasks(self._reporter.requests.log_unhandled_exception)

    async def open(self, *, again: bool = False) -> None:
        """Open the store and both listeners.

        Args:
            again: this process replaces one that died. The others may have reloaded,
                so the file is read again first; listeners, Redis and TLS are those
                of the start.

        Raises:
            ConfigError: the configuration cannot be compiled.
            CannotListen: an address cannot be bound.
            GatewayError: the changed file is refused. The initial configuration is
                not used instead: it could allow what has been denied since.
        """
        require_c_parser()
        config = self._loaded.config
        self._reporter.configure(config)
        self._stores = build_stores(
            self._loaded,
            redis_url=self._redis_url,
            resolver=self._redis_names,
            reporter=self._reporter,
        )
        self._process = build_process(
            lambda: self._loaded.config,
            self._build(self._loaded, self._ring),
            stores=self._stores,
            reporter=self._reporter,
            system=self._system,
            start=self._tasks.start,
        )
        self._tls = server_tls(self._loaded)
        if again and not await self.reload():
            raise GatewayError("the changed configuration is refused, see the log")
        listeners = self._given or bind_all(addresses_of(config))
        self._listeners = listeners
        await self._process.listeners.start(
            listeners,
            config,
            tls=self._tls,
            shortage=Shortage(self._reporter.process.shortage),
        )
        self._start_tasks()
        self._reporter.process.listening(self._loaded)

    def _start_tasks(self) -> None:
        checks, reporter = self._process.checks, self._reporter
        self._tasks.start(checks.check_sessions())
        self._tasks.start(checks.check_tokens())
        self._tasks.start(checks.reevaluate_periodically())
        self._tasks.start(
            log_store_warnings(self._stores.sessions, reporter.dependencies)
        )
        self._tasks.start(publish_counts(self._process.client_server, reporter.process))

    async def drain(self) -> None:
        """Stop accepting, close WebSockets, and wait for requests in flight.

        `server.timeouts.drain` is the time from the signal to the end of the process.
        """
        self.services.draining = True
        self._process.listeners.stop_accepting()
        self.services.streams.end_all(Reason.DRAINING)
        await self._process.listeners.drain(self._loaded.config.server.timeouts.drain)

    async def close(self) -> None:
        """Close everything that was opened."""
        await self._tasks.cancel()
        self._process.listeners.abort()
        if self._listeners is not None and self._given is None:
            self._listeners.remove_files()
        await self._process.listeners.close()
        for application in self.runtime.applications.values():
            await application.upstream.close()
        await self.services.finish()
        await self._stores.close()
        await self._names.close()
        await self._redis_names.close()
        self._reporter.close()

    async def reload(self) -> bool:
        """Reload the configuration file; return False, without a change, if it is invalid.

        Changes of listeners, workers, Redis and TLS require a restart and are logged.
        """
        try:
            loaded = load_config(self._loaded.path, env=self._env)
            check_same_kind(self._started, loaded)
            ring = build_ring(loaded, now=self._system.now(), previous=self._ring)
            runtime = self._build(loaded, ring)
            renew_certificate(self._tls, loaded)
        except ConfigError as error:
            self._reporter.process.reload_refused(error)
            return False
        waits = waits_for_restart(self._started, loaded.config)
        old = self.runtime
        runtime.follow(old)
        self._loaded, self._ring = loaded, ring
        set_level(loaded.config.log.level)
        self._output.redactor.learn(secrets_of(loaded.config))
        self._reporter.configure(loaded.config)
        self._process.pipeline.runtime = self.services.streams.active = runtime
        self._process.watch.follow(runtime)
        self._reporter.process.reloaded(loaded, waits)
        self._tasks.start(self._process.checks.reevaluate())
        for application in old.applications.values():
            # Requests in flight finish; no new one starts there.
            application.upstream.drain()
        old.retire()
        return True

    @property
    def store(self) -> SessionSource:
        """The session store of this process."""
        return self._stores.sessions

    @property
    def services(self) -> Services:
        """The parts that survive a reload."""
        return self._process.services

    @property
    def runtime(self) -> Runtime:
        """The active configuration."""
        return self._process.pipeline.runtime

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports of the listeners, in the order of the file."""
        return self._process.listeners.ports

    @property
    def authz_port(self) -> int:
        """The TCP port of the authz listener.

        Raises:
            RuntimeError: it has none.
        """
        return self._process.listeners.authz_port

    @property
    def loaded(self) -> LoadedConfig:
        """The active configuration, as it was read."""
        return self._loaded

    def _build(self, loaded: LoadedConfig, ring: KeyRing) -> Runtime:
        return build_runtime(
            loaded,
            ring=ring,
            ticks=asyncio.get_running_loop().time,
            resolver=self._names,
            on_target=self._reporter.dependencies.target_changed,
        )
