"""What is asked of which systems: the table of workloads. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tests.bench.client import Load

PLAIN: Final = ("nginx", "caddy", "traefik", "envoy")
JOB: Final = ("lua", "express", "oauth2-proxy", "oathkeeper", "naive")
GATEWAY: Final = ("token", "protected", "public", "foreign", "proxied")
EVERY: Final = (*PLAIN, *JOB, *GATEWAY)
MAIN: Final = (*PLAIN, *JOB, "token")
_FEW: Final = 16
_MIB: Final = 1 << 20


class Measure(StrEnum):
    """What is measured, and so by what."""

    CPU = "CPU time of a request"
    MESSAGES = "CPU time of a WebSocket message"
    IDLE = "memory with idle keep-alive connections"
    IDLE_WEBSOCKETS = "memory with idle WebSockets"
    START = "time from start to the first response"
    LATENCY = "latency at half of the gateway's load"
    DRIFT = "memory over many requests"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One table of the report."""

    title: str
    systems: tuple[str, ...]
    measure: Measure = Measure.CPU
    loads: Mapping[str, Load] = field(default_factory=lambda: {"": Load()})
    """By name; the first is what the others are compared with."""


def _upload(size: int, connections: int = 64) -> Load:
    return Load(method="POST", page="/upload", body_bytes=size, connections=connections)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "small": Workload(title="Small GET", systems=EVERY),
    "decision": Workload(
        title="Decision for another proxy, without that proxy",
        systems=("nginx", "token", "decision"),
    ),
    "auth-request": Workload(
        title="Small GET through nginx auth_request",
        systems=(
            "nginx",
            "token",
            "nginx-gateway",
            "nginx-oauth2-proxy",
            "authelia",
            "oauth2-proxy",
        ),
    ),
    "newconn": Workload(
        title="New connection for each request",
        systems=MAIN,
        loads={"": Load(new_connections=True)},
    ),
    "100k": Workload(
        title="GET of 100 kB", systems=MAIN, loads={"": Load(page="/100k")}
    ),
    "1m": Workload(
        title="GET of 1 MiB",
        systems=MAIN,
        loads={"": Load(page="/1m", connections=_FEW)},
    ),
    "post": Workload(
        title="Small POST",
        systems=("nginx", "lua", "token"),
        loads={"GET": Load(page="/upload"), "POST of 256 bytes": _upload(256)},
    ),
    "upload": Workload(
        title="POST of 1 MiB", systems=MAIN, loads={"": _upload(_MIB, _FEW)}
    ),
    "conns": Workload(
        title="Connections",
        systems=("nginx", "lua", "caddy", "envoy", "token"),
        loads={"64": Load(), "1,000": Load(connections=1000)},
    ),
    "routes": Workload(
        title="5 and 5,000 routes", systems=("nginx", "token", "routes")
    ),
    "workers": Workload(
        title="1 and 2 workers on two cores",
        systems=("lua-one", "lua-two", "one", "two"),
    ),
    "extension": Workload(
        title="Session extension", systems=("nginx", "token", "extension")
    ),
    "far": Workload(title="Redis 1 ms away", systems=("nginx", "token", "far")),
    "messages": Workload(
        title="WebSocket messages",
        systems=("nginx", "caddy", "traefik", "envoy", "lua", "express", "token"),
        measure=Measure.MESSAGES,
    ),
    "idle": Workload(
        title="Idle keep-alive connections",
        systems=("nginx", "caddy", "traefik", "envoy", "many"),
        measure=Measure.IDLE,
    ),
    "idle-ws": Workload(
        title="Idle WebSockets",
        systems=("nginx", "caddy", "traefik", "envoy", "many"),
        measure=Measure.IDLE_WEBSOCKETS,
    ),
    "start": Workload(
        title="Start to first response",
        systems=("nginx", "lua", "caddy", "traefik", "envoy", "express", "token"),
        measure=Measure.START,
    ),
    "latency": Workload(
        title="Latency at half load",
        systems=("token", "nginx", "lua", "caddy", "envoy"),
        measure=Measure.LATENCY,
    ),
    "drift": Workload(
        title="Memory over many requests", systems=("token",), measure=Measure.DRIFT
    ),
}
