"""The composition root: opens and closes the parts of one process, in order.

`App` has the listeners, the store and the active configuration. A reload builds a
whole new `Runtime` next to the old one and swaps one reference; if building fails, the
old one stays active.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping

from gateway.build.dns import build_dns
from gateway.build.listeners import addresses_of, listener_limits
from gateway.build.ring import build_ring
from gateway.build.runtime import build_runtime
from gateway.build.store import build_store, build_token_store
from gateway.config.load import LoadedConfig, load_config
from gateway.config.restart import check_same_kind, waits_for_restart
from gateway.config.schema import Config
from gateway.config.secrecy import secrets_of
from gateway.errors import ConfigError, GatewayError
from gateway.net.resolver import Resolver
from gateway.observe.logs import LogOutput, set_level
from gateway.observe.shared import SharedCounts
from gateway.reasons import Reason
from gateway.server.accepting import serve_plain
from gateway.server.active_listener import ActiveListener, start_listener
from gateway.server.admin.server import AdminServer
from gateway.server.authz.advice import Advice
from gateway.server.authz.decisions import Decisions
from gateway.server.background import (
    BackgroundTasks,
    log_store_warnings,
    publish_counts,
)
from gateway.server.context import Services
from gateway.server.descriptors import Shortage
from gateway.server.early_response import early_error_response
from gateway.server.edge import Edge
from gateway.server.handshakes import serve_tls
from gateway.server.listener import ClientServer
from gateway.server.pipeline import Pipeline
from gateway.server.reevaluation import StreamChecks
from gateway.server.renewing import Renewer
from gateway.server.reporting.reporter import Reporter
from gateway.server.request_reader import require_c_parser
from gateway.server.runtime import Runtime
from gateway.server.shares import Shares
from gateway.server.sockets import Listeners, bind_all
from gateway.server.streams import OpenStreams
from gateway.server.tls import renew_certificate, server_tls
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.redis.lookup import MAX_WAITING
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.store import SessionSource
from gateway.tokens.ring import KeyRing

_LAST_REQUESTS = 1.0
"""Seconds that an idle connection stays open while the gateway drains."""
_STARTING = 0.2
"""Seconds for connections that were accepted as the drain began."""
_CLOSING = 3.0
"""Maximum seconds of `drain` reserved for closing connections."""


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
        self._edge = Edge()
        self._reporter = Reporter(output, shared=shared, place=place, first=first)
        # Two resolvers, so that pending look-ups of one do not block the other.
        dns, on_change = (
            build_dns(loaded.config),
            self._reporter.dependencies.name_changed,
        )
        self._names = Resolver(dns, on_change=on_change)
        self._redis_names = Resolver(dns, on_change=on_change, in_turn=False)
        self._given, self._listeners = listeners, listeners
        self._client_listeners: list[ActiveListener] = []
        self._authz_listener: ActiveListener | None = None
        self._admin_listener: ActiveListener | None = None
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
        self._build_parts(config)
        self._tls = server_tls(self._loaded)
        if again and not await self.reload():
            raise GatewayError("the changed configuration is refused, see the log")
        listeners = self._given or bind_all(addresses_of(config))
        self._listeners = listeners
        await self._listen(listeners, config)
        self._tasks.start(self._checks.check_sessions())
        self._tasks.start(self._checks.reevaluate_periodically())
        self._tasks.start(log_store_warnings(self._store, self._reporter.dependencies))
        self._tasks.start(publish_counts(self._client_server, self._reporter.process))
        self._reporter.process.listening(self._loaded)

    def _build_parts(self, config: Config) -> None:
        self._store = store = build_store(
            self._loaded,
            redis_url=self._redis_url,
            resolver=self._redis_names,
            on_corrupt=self._reporter.dependencies.log_corrupt_record,
            on_event=self._reporter.dependencies.store_event,
        )
        self._token_store: RedisStore | None = None
        self._watches_tokens = False
        if isinstance(store, ExternalStore):
            self._token_store = build_token_store(
                self._loaded,
                redis_url=self._redis_url,
                resolver=self._redis_names,
                on_corrupt=self._reporter.dependencies.log_corrupt_record,
                on_event=self._reporter.dependencies.store_event,
            )
        self._services = Services(
            store=store,
            gateway_managed=store if isinstance(store, RedisStore) else None,
            app_managed=store if isinstance(store, ExternalStore) else None,
            own_tokens=self._token_store,
            edge=self._edge,
            streams=OpenStreams(),
            report=self._reporter.requests,
            lookups=Shares(MAX_WAITING, config.server.limits.address_percent / 100),
        )
        runtime = self._build(self._loaded, self._ring)
        self._pipeline = Pipeline(runtime=runtime, services=self._services)
        self._checks = StreamChecks(lambda: self.runtime, self._services)
        self._services.streams.active = runtime
        if isinstance(store, RedisStore):
            renewer = Renewer(self._services, store, store.renewals)
            self._services.renewals, self._services.renewer = store.renewals, renewer
        self._services.streams.on_stale = self._reevaluate_streams
        self._services.streams.on_changed = self._checks.evaluate_session
        store.watch(
            self._checks.session_ended,
            self._checks.check_sessions_soon,
            self._checks.session_changed,
        )
        self._watch_tokens(runtime)
        self._client_server = ClientServer(
            self._pipeline,
            limits=listener_limits(config),
            early_error_response=self._early_error_response,
            report=self._reporter.requests.log_unhandled_exception,
            is_shared=self._is_shared,
            loop=asyncio.get_running_loop(),
        )
        advice = Advice(self._reporter.process.front_proxy_problem, self._edge.ticks)
        self._authz_server = ClientServer(
            Decisions(self._pipeline, self._services, advice),
            limits=listener_limits(config),
            early_error_response=self._early_error_response,
            report=self._reporter.requests.log_unhandled_exception,
            is_shared=self._is_shared,
            loop=asyncio.get_running_loop(),
        )
        self._admin = AdminServer(
            services=self._services,
            reporter=self._reporter,
            config=lambda: self._loaded.config,
            runtime=lambda: self.runtime,
        )

    def _watch_tokens(self, runtime: Runtime) -> None:
        """Subscribe to revoked access tokens, once a route takes them."""
        store = self._token_store
        if store is None or self._watches_tokens or not runtime.rules.takes_tokens:
            return
        self._watches_tokens = True
        store.watch(
            self._checks.session_ended,
            self._checks.check_sessions_soon,
            self._checks.session_changed,
        )

    async def _listen(self, listeners: Listeners, config: Config) -> None:
        shortage = Shortage(self._reporter.process.shortage)
        serve = (
            serve_plain(self._client_server)
            if self._tls is None
            else serve_tls(self._client_server, self._tls)
        )
        for address in config.server.listen:
            self._client_listeners.append(
                start_listener(listeners.take(address), serve, shortage=shortage)
            )
        if config.server.authz is not None:
            self._authz_listener = start_listener(
                listeners.take(config.server.authz),
                serve_plain(self._authz_server),
                shortage=shortage,
            )
        if config.server.admin is not None:
            self._admin_listener = start_listener(
                listeners.take(config.server.admin),
                await self._admin.start(),
                shortage=shortage,
            )

    async def drain(self) -> None:
        """Stop accepting, close WebSockets, and wait for requests in flight.

        `server.timeouts.drain` is the time from the signal to the end of the process;
        requests get all of it except the last tenth, which is reserved for closing.
        """
        self._services.draining = True
        for listener in self._drained_listeners:
            listener.close()
        self._services.streams.end_all(Reason.DRAINING)
        whole = self._loaded.config.server.timeouts.drain - _STARTING
        await asyncio.gather(
            *(one.acceptor.wait_started(_STARTING) for one in self._drained_listeners)
        )
        patience = whole - min(whole / 10, _CLOSING)
        # A client may be sending a request on an idle connection right now; it still
        # gets a response, with `Connection: close`.
        last_requests = min(_LAST_REQUESTS, patience / 2)
        await self._emptied(last_requests)
        for server in self._drained_servers:
            server.close_idle()
        await self._emptied(patience - last_requests)

    async def _emptied(self, seconds: float) -> None:
        """Wait up to `seconds` until no client connection is open."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for server in self._drained_servers:
                    await server.wait_until_empty()

    async def close(self) -> None:
        """Close everything that was opened."""
        await self._tasks.cancel()
        for listener in self._drained_listeners:
            listener.abort()
        if self._admin_listener is not None:
            self._admin_listener.abort()
        if self._listeners is not None and self._given is None:
            self._listeners.remove_files()
        for server in self._drained_servers:
            await server.shutdown(0.1)
        await self._admin.close()
        for application in self._pipeline.runtime.applications.values():
            await application.upstream.close()
        await self._services.finish()
        await self._store.close()
        if self._token_store is not None:
            await self._token_store.close()
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
            ring = build_ring(loaded, now=self._edge.now(), previous=self._ring)
            runtime = self._build(loaded, ring)
            renew_certificate(self._tls, loaded)
        except ConfigError as error:
            self._reporter.process.reload_refused(error)
            return False
        waits = waits_for_restart(self._started, loaded.config)
        old = self._pipeline.runtime
        self._loaded, self._ring = loaded, ring
        set_level(loaded.config.log.level)
        self._output.redactor.learn(secrets_of(loaded.config))
        self._reporter.configure(loaded.config)
        self._pipeline.runtime = self._services.streams.active = runtime
        self._watch_tokens(runtime)
        self._reporter.process.reloaded(loaded, waits)
        self._reevaluate_streams()
        for application in old.applications.values():
            # Requests in flight finish; no new one starts there.
            application.upstream.drain()
        return True

    @property
    def store(self) -> SessionSource:
        """The session store of this process."""
        return self._store

    @property
    def services(self) -> Services:
        """The parts that survive a reload."""
        return self._services

    @property
    def runtime(self) -> Runtime:
        """The active configuration."""
        return self._pipeline.runtime

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports of the listeners, in the order of the file."""
        return tuple(
            port for listener in self._client_listeners for port in listener.ports
        )

    @property
    def authz_port(self) -> int:
        """The TCP port of the authz listener.

        Raises:
            RuntimeError: it has none.
        """
        if self._authz_listener is None or not self._authz_listener.ports:
            raise RuntimeError("there is no authz listener on a TCP port")
        return self._authz_listener.ports[0]

    @property
    def stream_checks(self) -> StreamChecks:
        """What ends open streams."""
        return self._checks

    @property
    def loaded(self) -> LoadedConfig:
        """The active configuration, as it was read."""
        return self._loaded

    @property
    def _drained_listeners(self) -> tuple[ActiveListener, ...]:
        """Those of clients and of front proxies; the admin listener stays open."""
        authz = self._authz_listener
        return (*self._client_listeners, *(() if authz is None else (authz,)))

    @property
    def _drained_servers(self) -> tuple[ClientServer, ...]:
        return (self._client_server, self._authz_server)

    def _build(self, loaded: LoadedConfig, ring: KeyRing) -> Runtime:
        return build_runtime(
            loaded,
            ring=ring,
            ticks=asyncio.get_running_loop().time,
            resolver=self._names,
            on_target=self._reporter.dependencies.target_changed,
        )

    def _is_shared(self, peer: str) -> bool:
        return self.runtime.head_rules.trusts(peer)

    def _reevaluate_streams(self) -> None:
        self._tasks.start(self._checks.reevaluate())

    def _early_error_response(self, status: int, reason: Reason, peer: str) -> bytes:
        return early_error_response(
            (status, reason),
            peer,
            runtime=self.runtime,
            edge=self._edge,
            reporter=self._reporter.requests,
        )
