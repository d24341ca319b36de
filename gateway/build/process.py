"""Build the parts of one process that stay over a reload, around its first runtime."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.build.listeners import listener_limits
from gateway.build.store import build_store, build_token_store
from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.net.resolver import Resolver
from gateway.reasons import Reason
from gateway.server.admin.server import AdminServer
from gateway.server.authz.advice import Advice
from gateway.server.authz.decisions import Decisions
from gateway.server.context import Services
from gateway.server.early_response import early_error_response
from gateway.server.exchange import OnRequest
from gateway.server.listener import ClientServer
from gateway.server.open_listeners import OpenListeners
from gateway.server.pipeline import Pipeline
from gateway.server.provider_tokens import ProviderTokens
from gateway.server.reevaluation import StreamChecks
from gateway.server.renewing import Renewer
from gateway.server.reporting.reporter import Reporter
from gateway.server.runtime import Runtime
from gateway.server.shares import Shares
from gateway.server.store_watch import StoreWatch
from gateway.server.streams import OpenStreams
from gateway.server.system import System
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.redis.lookup import MAX_WAITING
from gateway.sessions.redis.store import RedisStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The session store, and that of access tokens if sessions are an app's."""

    sessions: RedisStore | ExternalStore
    tokens: RedisStore | None

    async def close(self) -> None:
        """Close the connections."""
        await self.sessions.close()
        if self.tokens is not None:
            await self.tokens.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What serves requests; the configuration of `pipeline` is replaced by a reload."""

    services: Services
    pipeline: Pipeline
    checks: StreamChecks
    watch: StoreWatch
    client_server: ClientServer
    listeners: OpenListeners


def build_stores(
    loaded: LoadedConfig,
    *,
    redis_url: str | None,
    resolver: Resolver,
    reporter: Reporter,
) -> Stores:
    """Build the stores, which connect when they are first used; as `build_store`."""
    report = reporter.dependencies
    sessions = build_store(
        loaded,
        redis_url=redis_url,
        resolver=resolver,
        on_corrupt=report.log_corrupt_record,
        on_event=report.store_event,
    )
    if isinstance(sessions, RedisStore):
        return Stores(sessions=sessions, tokens=None)
    tokens = build_token_store(
        loaded,
        redis_url=redis_url,
        resolver=resolver,
        on_corrupt=report.log_corrupt_record,
        on_event=report.store_event,
    )
    return Stores(sessions=sessions, tokens=tokens)


def build_process(
    config: Callable[[], Config],
    runtime: Runtime,
    *,
    stores: Stores,
    reporter: Reporter,
    system: System,
    start: Callable[[Coroutine[Any, Any, None]], object],
) -> Process:
    """Build what serves requests; nothing is opened yet.

    Args:
        config: returns the active configuration.
        runtime: the first configuration, compiled.
        stores: the stores.
        reporter: logs and counts.
        system: the clock and random numbers.
        start: starts a task in the background.
    """
    services = _services(stores, config(), system, reporter)
    pipeline = Pipeline(runtime=runtime, services=services)
    if isinstance(stores.sessions, RedisStore):
        stores.sessions.takes_provider_tokens = lambda: bool(
            pipeline.runtime.rules.token_issuers
        )
    checks = StreamChecks(lambda: pipeline.runtime, services)
    services.streams.active = runtime

    def reevaluate() -> None:
        start(checks.reevaluate())

    services.streams.on_stale = reevaluate
    services.streams.on_changed = checks.evaluate_session
    watch = StoreWatch(checks, stores.sessions, stores.tokens)
    watch.follow(runtime)
    advice = Advice(reporter.process.front_proxy_problem, system.ticks)
    decisions = Decisions(pipeline, services, advice)
    clients = _client_server(pipeline.begin, pipeline, config(), system, reporter)
    authz = _client_server(decisions.begin, pipeline, config(), system, reporter)
    admin = AdminServer(
        services=services,
        reporter=reporter,
        config=config,
        runtime=lambda: pipeline.runtime,
    )
    return Process(
        services=services,
        pipeline=pipeline,
        checks=checks,
        watch=watch,
        client_server=clients,
        listeners=OpenListeners(clients=clients, authz=authz, admin=admin),
    )


def _services(
    stores: Stores, config: Config, system: System, reporter: Reporter
) -> Services:
    store = stores.sessions
    services = Services(
        store=store,
        gateway_managed=store if isinstance(store, RedisStore) else None,
        app_managed=store if isinstance(store, ExternalStore) else None,
        own_tokens=stores.tokens,
        system=system,
        streams=OpenStreams(),
        report=reporter.requests,
        lookups=Shares(MAX_WAITING, config.server.limits.address_percent / 100),
    )
    if isinstance(store, RedisStore):
        services.provider_tokens = ProviderTokens(
            store.token_ends,
            services.lookups,
            share=config.server.limits.address_percent / 100,
        )
        services.renewals = store.renewals
        services.renewer = Renewer(services, store, store.renewals)
    return services


def _client_server(
    on_request: OnRequest,
    pipeline: Pipeline,
    config: Config,
    system: System,
    reporter: Reporter,
) -> ClientServer:
    def is_shared(peer: str) -> bool:
        return pipeline.runtime.head_rules.trusts(peer)

    def early(status: int, reason: Reason, peer: str) -> bytes:
        return early_error_response(
            (status, reason),
            peer,
            runtime=pipeline.runtime,
            system=system,
            reporter=reporter.requests,
        )

    return ClientServer(
        on_request,
        limits=listener_limits(config),
        early_error_response=early,
        report=reporter.requests.log_unhandled_exception,
        is_shared=is_shared,
        loop=asyncio.get_running_loop(),
    )
