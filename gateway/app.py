"""The composition root: every part is built, opened and closed here; no logic.

`App` is one process of the gateway: two listeners, a store, and the configuration
that serves. A reload builds a whole new `Serving` beside the old one and swaps one
reference; what fails while it is built leaves the old one in place (law 10).
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from gateway.build.dns import build_dns
from gateway.build.ring import build_ring
from gateway.build.runtime import build_runtime
from gateway.build.session_format import format_from, remembered
from gateway.config.load import LoadedConfig, load_config
from gateway.config.restart import check_same_kind, waits_for_restart
from gateway.config.schema import Config
from gateway.config.secrecy import secrets_of
from gateway.config.values import split_listen
from gateway.errors import (
    ConfigError,
    GatewayError,
    StoreUnavailable,
    TooManyAttempts,
)
from gateway.http.head import BadRequest
from gateway.net.resolver import Resolver
from gateway.observe.logs import LogOutput, set_level
from gateway.observe.shared import SharedCounts
from gateway.reasons import Reason
from gateway.server.accepting import Serve, serve_plain
from gateway.server.active_listener import ActiveListener, start_listener
from gateway.server.admin.application import admin_application
from gateway.server.admin.health import Health
from gateway.server.admin.listener import AdminRunner
from gateway.server.admin.sessions import SessionApi
from gateway.server.context import Services
from gateway.server.descriptors import Shortage
from gateway.server.edge import Edge
from gateway.server.guessing import count_failed_admin
from gateway.server.handshakes import serve_tls
from gateway.server.listener import ClientServer, ListenerLimits
from gateway.server.pipeline import Pipeline
from gateway.server.reevaluation import reevaluate_open_streams
from gateway.server.reporting import Reporter
from gateway.server.request_reader import require_c_parser
from gateway.server.response_head import encode_local_response
from gateway.server.runtime import Runtime
from gateway.server.shares import Shares
from gateway.server.sockets import Listeners, ListeningSocket, bind_all
from gateway.server.streams import OpenStreams, Rechecks
from gateway.server.tls import renew_certificate, server_tls
from gateway.sessions.authenticate import Anonymous, authenticate
from gateway.sessions.foreign.store import ForeignStore
from gateway.sessions.redis.lookup import MAX_WAITING
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import parse_redis_url
from gateway.sessions.store import NotSeen, SessionSource
from gateway.tokens.ring import KeyRing

_RECHECK_EVERY = 20.0
"""Seconds until a lost push is caught: how long a stream may outlive its session."""

_SHARE_EVERY = 1.0
"""Seconds between two notes of this process's counts for the others to sum."""

_LAST_REQUESTS = 1.0
"""Seconds that a connection without a request stays open while the gateway stops."""
_CLOSING = 3.0
"""Seconds at most that are kept of `drain` for closing what is left."""


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
        """Take what an app is made of; nothing is opened yet.

        Args:
            loaded: the configuration to start with.
            ring: the signing keys, the same in every process.
            output: where log lines go.
            env: for `${VAR}` when the file is read again.
            redis_url: the place of an embedded Redis, in place of the file's.
            listeners: sockets that listen already, for every address of the
                configuration; None: they are bound by `open`.
            shared: the counts of several processes, summed up in a scrape.
            place: where in `shared` this process writes.
            first: whether this process tells what is to be told once for all.
        """
        self._loaded = loaded
        self._started = loaded.config
        self._ring = ring
        self._env = env
        self._output = output
        self._redis_url = redis_url
        self._edge = Edge()
        self._reporter = Reporter(output, shared=shared, place=place, first=first)
        # One each, so that what waits for names of the one never fills the other.
        dns, on_change = build_dns(loaded.config), self._reporter.name_changed
        self._names = Resolver(dns, on_change=on_change)
        self._redis_names = Resolver(dns, on_change=on_change, in_turn=False)
        self._given, self._listeners = listeners, listeners
        self._client_listeners: list[ActiveListener] = []
        self._admin_listener: ActiveListener | None = None
        self._tls: ssl.SSLContext | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: list[Callable[[], Awaitable[None]]] = []

    async def open(self, *, again: bool = False) -> None:
        """Open the store and both listeners.

        Args:
            again: this process takes the place of one that died. The others may
                have reloaded since they all started, so the file is read again
                before a request is taken; what belongs to the process (listeners,
                Redis, TLS) stays as it is with them.

        Raises:
            ConfigError: the configuration cannot be compiled.
            CannotListen: an address cannot be listened on.
            GatewayError: the file that was read again is refused. The others serve
                on; to serve what they once started with could open what has been
                closed since.
        """
        require_c_parser()
        config = self._loaded.config
        self._reporter.configure(config)
        store = self._open_store(config)
        self._store: RedisStore | ForeignStore = store
        self._services = Services(
            store=store,
            own=store if isinstance(store, RedisStore) else None,
            apps=store if isinstance(store, ForeignStore) else None,
            edge=self._edge,
            streams=OpenStreams(),
            report=self._reporter,
            lookups=Shares(MAX_WAITING, config.server.limits.address_percent / 100),
        )
        loop = asyncio.get_running_loop()
        runtime = self._build(self._loaded, self._ring)
        self._pipeline = Pipeline(runtime=runtime, services=self._services)
        self._services.streams.active = runtime
        self._services.streams.on_stale = self._reevaluate_soon
        self._rechecks = Rechecks(
            self._services.streams, self._why_ended, every=_RECHECK_EVERY
        )
        self._store.watch(self._session_ended, self._rechecks.soon)
        self._client_server = ClientServer(
            self._pipeline,
            limits=_listener_limits(config),
            early_error_response=self._early_error_response,
            report=self._reporter.log_unhandled_exception,
            is_shared=self._is_shared,
            loop=loop,
        )
        self._tls = server_tls(self._loaded)
        if again and not await self.reload():
            raise GatewayError("the changed configuration is refused, see the log")
        listeners = self._given or bind_all(addresses_of(config))
        self._listeners = listeners
        shortage = self._shortage = Shortage(self._reporter.shortage)
        for address in config.server.listen:
            listener = start_listener(
                listeners[address], self._serve_clients(), shortage=shortage
            )
            self._client_listeners.append(listener)
        if config.server.admin is not None:
            await self._open_admin(listeners[config.server.admin])
        self._spawn(self._rechecks.always())
        self._spawn(self._reevaluate_periodically())
        self._spawn(self._log_store_warnings())
        self._spawn(self._share_always())
        self._reporter.listening(self._loaded)

    async def drain(self) -> None:
        """Stop in order: not ready, last answers, WebSockets away, then closed.

        `server.timeouts.drain` is the time from the signal to the end of the process,
        so running requests get that, but for the last tenth, which closing takes.
        """
        self._services.draining = True
        for listener in self._client_listeners:
            listener.close()
        self._services.streams.end_all(Reason.DRAINING)
        whole = self._loaded.config.server.timeouts.drain
        patience = whole - min(whole / 10, _CLOSING)
        # A client that has a connection may be sending on it right now, and would lose
        # that request. It is answered with `Connection: close`.
        last_requests = min(_LAST_REQUESTS, patience / 2)
        await self._emptied(last_requests)
        self._client_server.close_idle()
        await self._emptied(patience - last_requests)

    async def _emptied(self, seconds: float) -> None:
        """Wait until no client connection is open, for `seconds` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._client_server.wait_until_empty()

    async def close(self) -> None:
        """Close everything that was opened."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._client_listeners:
            listener.abort()
        if self._admin_listener is not None:
            self._admin_listener.abort()
        if self._listeners is not None and self._given is None:
            self._listeners.remove_files()
        await self._client_server.shutdown(0.1)
        for close in reversed(self._closing):
            await close()
        for application in self._pipeline.runtime.applications.values():
            await application.upstream.close()
        await self._services.finish()
        await self._store.close()
        await self._names.close()
        await self._redis_names.close()
        self._reporter.close()

    async def reload(self) -> bool:
        """Read the file again; a bad one changes nothing. Tells whether it took.

        Listeners, workers, Redis and TLS belong to the process: a change of those
        is told in the log and waits for a restart.
        """
        try:
            loaded = load_config(self._loaded.path, env=self._env)
            check_same_kind(self._started, loaded)
            ring = build_ring(loaded, now=self._edge.now(), previous=self._ring)
            runtime = self._build(loaded, ring)
            renew_certificate(self._tls, loaded)
        except ConfigError as error:
            self._reporter.reload_refused(error)
            return False
        waits = waits_for_restart(self._started, loaded.config)
        old = self._pipeline.runtime
        self._loaded, self._ring = loaded, ring
        set_level(loaded.config.log.level)
        self._output.redactor.learn(secrets_of(loaded.config))
        self._reporter.configure(loaded.config)
        self._pipeline.runtime = self._services.streams.active = runtime
        self._reporter.reloaded(loaded, waits)
        self._reevaluate_soon()
        for application in old.applications.values():
            # What is under way goes on to its end; nothing new begins there.
            application.upstream.drain()
        return True

    @property
    def store(self) -> SessionSource:
        """The session store of this process."""
        return self._store

    @property
    def services(self) -> Services:
        """The parts that outlive a configuration."""
        return self._services

    @property
    def runtime(self) -> Runtime:
        """The configuration that serves now."""
        return self._pipeline.runtime

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports that are listened on, in the order of the file."""
        return tuple(
            port for listener in self._client_listeners for port in listener.ports
        )

    @property
    def loaded(self) -> LoadedConfig:
        """The configuration that serves now, as it was read."""
        return self._loaded

    def _build(self, loaded: LoadedConfig, ring: KeyRing) -> Runtime:
        return build_runtime(
            loaded,
            ring=ring,
            ticks=asyncio.get_running_loop().time,
            resolver=self._names,
            on_target=self._reporter.target_changed,
        )

    def _open_store(self, config: Config) -> RedisStore | ForeignStore:
        given = self._redis_url
        found = parse_redis_url(given) if given else config.redis.address
        assert found is not None  # noqa: S101 - an embedded one is given
        address = replace(found, resolver=self._redis_names)
        foreign = format_from(self._loaded)
        if foreign is not None:
            return ForeignStore(
                address,
                timeout=config.redis.timeout,
                remember=remembered(config, foreign),
                on_corrupt=self._reporter.log_corrupt_record,
                on_event=self._reporter.store_event,
            )
        return RedisStore(
            address,
            timeout=config.redis.timeout,
            max_per_identity=config.sessions.max_per_identity,
            on_corrupt=self._reporter.log_corrupt_record,
            on_event=self._reporter.store_event,
        )

    async def _open_admin(self, listening: ListeningSocket) -> None:
        application = admin_application(
            health=Health({"redis": self._redis_ready, "draining": self._not_draining}),
            sessions=SessionApi(self._services, lambda: self._pipeline.runtime.rules),
            metrics=self._reporter.exposition,
            token=self._admin_token,
            refused=self._admin_refused,
            hosts=self._admin_hosts,
        )
        timeouts = self._loaded.config.server.timeouts
        runner = AdminRunner(
            application,
            report=self._reporter.log_unhandled_exception,
            request_headers=timeouts.request_headers,
            keepalive=timeouts.keepalive,
        )
        await runner.setup()
        self._closing.append(runner.cleanup)
        server = runner.server
        assert server is not None  # noqa: S101 - made by setup()
        self._admin_listener = start_listener(
            listening, serve_plain(server), shortage=self._shortage
        )

    def _admin_refused(self, client: str) -> int:
        """Count a wrong admin token; return the seconds to wait for one too many."""
        try:
            count_failed_admin(client, self._pipeline.runtime, self._services)
        except TooManyAttempts as limited:
            return limited.retry_after
        self._reporter.admin_refused(client)
        return 0

    def _admin_hosts(self) -> tuple[str, ...]:
        server = self._loaded.config.server
        place = None if server.admin is None else split_listen(server.admin)
        own = (place[0].lower(),) if isinstance(place, tuple) else ()
        # No stranger's DNS leads the public name anywhere.
        public = urlsplit(server.public_url).hostname or ""
        return (*server.admin_hosts, *own, public)

    def _admin_token(self) -> str | None:
        secret = self._loaded.config.server.admin_token
        return None if secret is None else secret.get_secret_value()

    async def _redis_ready(self) -> str | None:
        try:
            await self._store.ping()
        except StoreUnavailable as error:
            return str(error) or "the session store does not answer"
        return None

    async def _not_draining(self) -> str | None:
        return "shutting down" if self._services.draining else None

    def _early_error_response(self, status: int, reason: Reason, peer: str) -> bytes:
        """Write a whole answer for a connection that has no request to speak of."""
        request_id = self._edge.hex(16)
        now = self._edge.now()
        runtime = self._pipeline.runtime
        refusal = BadRequest(status=status, reason=reason, detail="")
        answer = runtime.rules.answers.to_bad_request(refusal)
        reply = runtime.pages.render(answer, request_id)
        self._reporter.connection_rejected(status, reason, request_id, now, peer)
        return encode_local_response(
            reply,
            head_only=False,
            keep_alive=False,
            request_id=request_id,
            set_cookies=(),
            now=now,
        )

    def _serve_clients(self) -> Serve:
        if self._tls is None:
            return serve_plain(self._client_server)
        return serve_tls(self._client_server, self._tls)

    def _is_shared(self, peer: str) -> bool:
        return self._pipeline.runtime.head_rules.trusts(peer)

    def _session_ended(self, key: str, _reason: str) -> None:
        self._services.streams.end(key, Reason.SESSION_REVOKED)

    def _reevaluate_soon(self) -> None:
        self._spawn(reevaluate_open_streams(self._pipeline.runtime, self._services))

    async def _log_store_warnings(self) -> None:
        """Log what `gateway check` would find wrong with Redis, once it answers."""
        while True:
            try:
                warnings = await self._store.warnings()
            except StoreUnavailable:
                await asyncio.sleep(1)
                continue
            for warning in warnings:
                self._reporter.store_warning(
                    warning.text, warning.hint, broken=warning.broken
                )
            return

    async def _reevaluate_periodically(self) -> None:
        while True:
            await asyncio.sleep(_RECHECK_EVERY)
            # Those of an earlier configuration that could not be judged at its end.
            await reevaluate_open_streams(self._pipeline.runtime, self._services)

    async def _share_always(self) -> None:
        while True:
            self._reporter.connections(self._client_server.open)
            self._reporter.share()
            await asyncio.sleep(_SHARE_EVERY)

    async def _why_ended(self, key: str) -> Reason | None:
        now = self._edge.now()
        try:
            record = await self._store.look_again(key, now)
        except NotSeen:  # asking again would be of no use
            return None
        found = authenticate(
            record,
            key=key,
            now=now,
            policy=self._pipeline.runtime.rules.lifetimes,
        )
        return found.reason if isinstance(found, Anonymous) else None

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._reporter.log_unhandled_exception(task.exception())


def addresses_of(config: Config) -> tuple[str, ...]:
    """Return every address that a process listens on."""
    admin = config.server.admin
    return config.server.listen if admin is None else (*config.server.listen, admin)


def _listener_limits(config: Config) -> ListenerLimits:
    return ListenerLimits(
        header_bytes=config.server.limits.header_bytes,
        connections=config.server.limits.connections,
        share=config.server.limits.address_percent / 100,
        request_headers=config.server.timeouts.request_headers,
        keepalive=config.server.timeouts.keepalive,
    )
