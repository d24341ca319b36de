"""Build the route table of a configuration."""

from ipaddress import ip_network

from gateway.config.load import LoadedConfig
from gateway.config.sections.routes import RouteConfig
from gateway.errors import ConfigError
from gateway.http.authorization import CredentialKind
from gateway.routes.index import build_index
from gateway.routes.model import Require, Route, Rule, Unauthenticated, route_id
from gateway.routes.table import RouteTable


def routes_from(loaded: LoadedConfig) -> RouteTable:
    """Compile the routes of a configuration.

    Raises:
        ConfigError: two routes tie or share an id, or a pattern can match nothing;
            with the places of both.
    """
    routes = [
        _route(config, loaded.source("routes", at))
        for at, config in enumerate(loaded.config.routes)
    ]
    places = {id(route): at for at, route in enumerate(routes)}
    diagnostics = build_index(routes).diagnostics
    if diagnostics:
        raise ConfigError(
            [
                loaded.problem(
                    diagnostic.message,
                    "routes",
                    places[id(diagnostic.route)],
                    "match",
                    hint=diagnostic.hint,
                )
                for diagnostic in diagnostics
            ]
        )
    return RouteTable(routes)


def _route(config: RouteConfig, source: str) -> Route:
    match, require = config.match, config.require
    own_id = route_id(match.host, match.path, match.methods)
    return Route(
        id=config.id or own_id,
        host=match.host,
        path=match.path,
        methods=None if match.methods is None else frozenset(match.methods),
        rule=Rule(config.rule),
        require=Require(
            roles=frozenset(require.roles),
            tenant=require.tenant,
            tenant_roles=frozenset(require.tenant_roles),
            authenticated_within=require.authenticated_within,
            aal=require.aal,
            networks=tuple(ip_network(network) for network in require.networks),
        ),
        session_ignored=config.session == "ignore",
        unauthenticated=Unauthenticated(config.unauthenticated),
        preflight_pass=config.preflight == "pass",
        forbidden=config.forbidden,
        cross_site_refused=config.cross_site == "refuse",
        path_allows=frozenset(config.path_allows),
        credentials=frozenset(map(CredentialKind, config.credentials)),
        upstream=config.upstream,
        source=source,
    )
