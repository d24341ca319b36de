"""Every system of the comparison by its key, and how it is started."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.backends import Backends
from tests.bench.install import Peers
from tests.bench.relay import delaying_relay
from tests.bench.systems.auth_request import (
    decisions,
    nginx_gateway,
    nginx_oauth2_proxy,
)
from tests.bench.systems.gateway import (
    DECISION,
    PLAIN,
    PUBLIC,
    TOKEN,
    USUAL,
    Options,
    gateway,
)
from tests.bench.systems.job import express, naive
from tests.bench.systems.nginx import nginx, nginx_lua
from tests.bench.systems.oauth2_proxy import oauth2_proxy
from tests.bench.systems.plain import caddy, envoy, traefik
from tests.bench.systems.system import System, UnavailableError

Start = Callable[[Backends, Peers], AbstractContextManager[System]]
REDIS_DELAY: Final = 0.001
MANY_ROUTES: Final = 5000


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A system; entries with one `program` share its process."""

    name: str
    program: str
    path: str = TOKEN


def _gateway(options: Options) -> Start:
    def start(backends: Backends, _: Peers) -> AbstractContextManager[System]:
        return gateway(backends, options=options, name=f"gateway {hash(options)}")

    return start


@contextmanager
def _far_redis(backends: Backends, _: Peers) -> Iterator[System]:
    with delaying_relay(backends.redis_port, REDIS_DELAY, backends.folder) as port:
        options = Options(redis_port=port)
        with gateway(backends, options=options, name="gateway far Redis") as system:
            yield system


def _oathkeeper(_: Backends, __: Peers) -> AbstractContextManager[System]:
    raise UnavailableError("the Go module proxy has no version of its module")


def _authelia(_: Backends, __: Peers) -> AbstractContextManager[System]:
    raise UnavailableError("the Go module proxy does not serve its module")


PROGRAMS: Final[Mapping[str, Start]] = {
    "nginx": lambda backends, _: nginx(backends),
    "lua": lambda backends, _: nginx_lua(backends),
    "caddy": caddy,
    "traefik": traefik,
    "envoy": envoy,
    "express": express,
    "oauth2-proxy": oauth2_proxy,
    "oathkeeper": _oathkeeper,
    "naive": naive,
    "decisions": decisions,
    "nginx-gateway": nginx_gateway,
    "nginx-oauth2-proxy": nginx_oauth2_proxy,
    "authelia": _authelia,
    "gateway": _gateway(USUAL),
    "foreign": _gateway(Options(foreign=True)),
    "proxied": _gateway(Options(proxied=True)),
    "routes": _gateway(Options(more_routes=MANY_ROUTES)),
    "lua-one": lambda backends, _: nginx_lua(backends, on_every_core=1),
    "lua-two": lambda backends, _: nginx_lua(backends, on_every_core=2),
    "one": _gateway(Options(cores=2)),
    "two": _gateway(Options(cores=2, workers=2)),
    "extension": _gateway(Options(extension=True)),
    "many": _gateway(Options(many_connections=True)),
    "far": _far_redis,
}

SYSTEMS: Final[Mapping[str, Entry]] = {
    "nginx": Entry(name="nginx plain", program="nginx"),
    "lua": Entry(name="nginx + Lua + Redis", program="lua"),
    "caddy": Entry(name="Caddy plain", program="caddy"),
    "traefik": Entry(name="Traefik plain", program="traefik"),
    "envoy": Entry(name="Envoy plain", program="envoy"),
    "express": Entry(name="Express + Redis", program="express"),
    "oauth2-proxy": Entry(name="oauth2-proxy + Redis", program="oauth2-proxy"),
    "oathkeeper": Entry(name="Oathkeeper", program="oathkeeper"),
    "naive": Entry(name="naive program", program="naive"),
    "decision": Entry(name="gateway, decision", program="decisions", path=DECISION),
    "nginx-gateway": Entry(
        name="nginx auth_request + gateway", program="nginx-gateway"
    ),
    "nginx-oauth2-proxy": Entry(
        name="nginx auth_request + oauth2-proxy", program="nginx-oauth2-proxy"
    ),
    "authelia": Entry(name="nginx auth_request + Authelia", program="authelia"),
    "public": Entry(name="gateway, public", program="gateway", path=PUBLIC),
    "protected": Entry(name="gateway, protected", program="gateway", path=PLAIN),
    "token": Entry(name="gateway, protected + token", program="gateway"),
    "foreign": Entry(name="gateway, express-session", program="foreign"),
    "proxied": Entry(name="gateway, behind a proxy", program="proxied"),
    "routes": Entry(name="gateway, 5,000 routes", program="routes"),
    "lua-one": Entry(name="nginx + Lua, 1 worker, 2 cores", program="lua-one"),
    "lua-two": Entry(name="nginx + Lua, 2 workers, 2 cores", program="lua-two"),
    "one": Entry(name="gateway, 1 worker, 2 cores", program="one"),
    "two": Entry(name="gateway, 2 workers, 2 cores", program="two"),
    "extension": Entry(name="gateway, session extension", program="extension"),
    "many": Entry(name="gateway, wide limits", program="many"),
    "far": Entry(name="gateway, Redis 1 ms away", program="far"),
}


class Stage:
    """The systems of one run: each started when it is first needed, and once."""

    def __init__(self, stack: ExitStack, backends: Backends, peers: Peers) -> None:
        self.backends = backends
        self.left_out: dict[str, str] = {}
        self.peers = peers
        self._stack = stack
        self._running: dict[str, System] = {}
        self._missing: dict[str, str] = {}

    @contextmanager
    def afresh(self) -> Iterator["Stage"]:
        """Yield a stage with processes of its own, whose memory no other workload has grown."""
        with ExitStack() as stack:
            fresh = Stage(stack, self.backends, self.peers)
            fresh.left_out = self.left_out
            yield fresh

    def system(self, key: str) -> System | None:
        """Return a running system, or None and its reason in `left_out`."""
        entry = SYSTEMS[key]
        program = entry.program
        if program not in self._running and program not in self._missing:
            try:
                started = PROGRAMS[program](self.backends, self.peers)
                self._running[program] = self._stack.enter_context(started)
            except UnavailableError as error:
                self._missing[program] = str(error)
        if program in self._missing:
            self.left_out[entry.name] = self._missing[program]
            return None
        return self._running[program].at(entry.path, entry.name)
