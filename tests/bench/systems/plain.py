"""Caddy, Traefik and Envoy as plain proxies, with an access log."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from tests.bench.backends import Backends
from tests.bench.install import Peers
from tests.bench.processes import running
from tests.bench.systems.system import System
from tests.servers import free_port


@contextmanager
def _plain(
    name: str, backends: Backends, port: int, command: list[str]
) -> Iterator[System]:
    folder = str(backends.folder)
    homes: Mapping[str, str] = dict.fromkeys(
        ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), folder
    )
    with running(name, command, backends.folder, env=homes) as program:
        yield System(name=name, port=port, program=program).ready()


@contextmanager
def caddy(backends: Backends, peers: Peers) -> Iterator[System]:
    """Run Caddy with one site."""
    port, file = free_port(), backends.folder / "Caddyfile"
    file.write_text(f"""{{
        admin off
        auto_https off
    }}
    http://127.0.0.1:{port} {{
        bind 127.0.0.1
        log {{
            output file {backends.folder}/caddy-access.log {{
                roll_disabled
            }}
        }}
        reverse_proxy 127.0.0.1:{backends.upstream_port} {{
            transport http {{
                keepalive_idle_conns 1024
                keepalive_idle_conns_per_host 1024
            }}
        }}
    }}
    """)
    program = str(peers.program("caddy"))
    command = [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    with _plain("Caddy plain", backends, port, command) as system:
        yield system


@contextmanager
def traefik(backends: Backends, peers: Peers) -> Iterator[System]:
    """Run Traefik with one router from a file."""
    port, folder = free_port(), backends.folder
    upstream = f"http://127.0.0.1:{backends.upstream_port}"
    router = {"rule": "PathPrefix(`/`)", "service": "app", "entryPoints": ["web"]}
    service = {"serversTransport": "kept", "servers": [{"url": upstream}]}
    http = {
        "routers": {"app": router},
        "services": {"app": {"loadBalancer": service}},
        "serversTransports": {"kept": {"maxIdleConnsPerHost": 1024}},
    }
    (folder / "traefik-http.yml").write_text(yaml.safe_dump({"http": http}))
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {"web": {"address": f"127.0.0.1:{port}"}},
        "providers": {"file": {"filename": f"{folder}/traefik-http.yml"}},
        "accessLog": {"filePath": f"{folder}/traefik-access.log"},
        "log": {"level": "ERROR"},
    }
    (folder / "traefik.yml").write_text(yaml.safe_dump(static))
    command = [str(peers.program("traefik")), f"--configFile={folder}/traefik.yml"]
    with _plain("Traefik plain", backends, port, command) as system:
        yield system


@contextmanager
def envoy(backends: Backends, peers: Peers) -> Iterator[System]:
    """Run Envoy with one worker thread."""
    port, file = free_port(), backends.folder / "envoy.json"
    file.write_text(json.dumps(_envoy_config(backends, port)))
    command = [str(peers.program("envoy")), "-c", str(file), "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "error"]
    with _plain("Envoy plain", backends, port, command) as system:
        yield system


def _envoy_config(backends: Backends, port: int) -> dict[str, Any]:
    def address(number: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    def typed(name: str, **fields: Any) -> dict[str, Any]:
        return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **fields}

    everything = {"prefix": "/"}
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="in",
        access_log=[
            {
                "name": "file",
                "typed_config": typed(
                    "access_loggers.file.v3.FileAccessLog",
                    path=f"{backends.folder}/envoy-access.log",
                ),
            }
        ],
        upgrade_configs=[{"upgrade_type": "websocket"}],
        http_filters=[
            {"name": "router", "typed_config": typed("filters.http.router.v3.Router")}
        ],
        route_config={
            "virtual_hosts": [
                {
                    "name": "app",
                    "domains": ["*"],
                    "routes": [{"match": everything, "route": {"cluster": "app"}}],
                }
            ]
        },
    )
    # By default a cluster has 1,024 connections at most.
    wide = {"max_connections": 100_000, "max_pending_requests": 100_000}
    wide["max_requests"] = 100_000
    endpoint = {"endpoint": {"address": address(backends.upstream_port)}}
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": address(port),
                    "filter_chains": [
                        {"filters": [{"name": "http", "typed_config": manager}]}
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "app",
                    "connect_timeout": "5s",
                    "circuit_breakers": {"thresholds": [wide]},
                    "load_assignment": {
                        "cluster_name": "app",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ],
        }
    }
