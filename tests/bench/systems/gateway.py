"""This gateway, of any checkout, in the configurations that the workloads need."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.bench.backends import SECRET, Backends
from tests.bench.processes import EVERY_CORE, SYSTEM_CORE, running
from tests.bench.systems.system import System
from tests.servers import free_port

HERE: Final = Path(__file__).parents[3]
TOKEN, PLAIN, PUBLIC = "/app", "/plain", "/public"
DECISION: Final = f"/authz/ext-authz{TOKEN}"
_FORWARDED: Final = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "app.example.com",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the configuration differs from the usual one."""

    foreign: bool = False
    """Sessions of express-session."""
    proxied: bool = False
    """Behind a trusted proxy."""
    more_routes: int = 0
    workers: int = 1
    cores: int = 1
    """1: that of the systems; else all, shared with the client and the upstream."""
    extension: bool = False
    redis_port: int | None = None
    authz_port: int | None = None
    """Decides for another proxy, too."""
    many_connections: bool = False
    """More connections from one address than the limits allow by default."""


USUAL: Final = Options()


def config(backends: Backends, port: int, options: Options) -> dict[str, Any]:
    """Return the configuration."""
    server: dict[str, Any] = {
        "listen": f"127.0.0.1:{port}",
        "admin": None,
        "public_url": f"http://127.0.0.1:{port}",
        "workers": options.workers,
    }
    if options.authz_port:
        server["authz"] = f"127.0.0.1:{options.authz_port}"
    if options.proxied or options.authz_port:
        server["trusted_proxies"] = ["127.0.0.1/32"]
    if options.many_connections:
        server["limits"] = {
            "connections": 19_000,
            "address_percent": 100,
            "identity_percent": 100,
        }
    sessions: dict[str, Any] = {}
    if options.foreign:
        sessions = {
            "format": "express-session",
            "secrets": [SECRET],
            "profile": {"tenants": "$.tenants", "active_tenant": "$.tenant"},
        }
    if options.extension:
        sessions["extend_within"] = "6h"
    app = f"http://127.0.0.1:{backends.upstream_port}"
    found: dict[str, Any] = {
        "version": 1,
        "server": server,
        "redis": {
            "url": f"redis://127.0.0.1:{options.redis_port or backends.redis_port}/0"
        },
        "tokens": {"profiles": {"database": _PROFILE}},
        "upstreams": {"api": {"url": app, "token": "database"}, "web": {"url": app}},
        "routes": [
            {"match": f"{TOKEN}/**", "rule": "protected", "upstream": "api"},
            {"match": f"{PLAIN}/**", "rule": "protected", "upstream": "web"},
            {
                "match": f"{PUBLIC}/**",
                "rule": "public",
                "session": "ignore",
                "upstream": "web",
            },
            {"match": "/**", "rule": "public", "upstream": "web"},
        ]
        + [
            {"match": f"/section-{number}/**", "rule": "protected", "upstream": "api"}
            for number in range(options.more_routes)
        ],
    }
    if sessions:
        found["sessions"] = sessions
    return found


_PROFILE: Final = {
    "audience": "postgrest",
    "header": "Authorization",
    "claims": {
        "role": "authenticated",
        "tenant_id": "{tenant.id}",
        "tenant_role": "{tenant.role}",
        "email": "{identity.traits.email}",
    },
}


def command(tree: Path, file: Path) -> list[str]:
    """Return how to start the gateway of a checkout.

    Its own virtual environment is used, or that of this process. The working folder
    must be the checkout: it comes first on the path of the modules.
    """
    return [_python(tree), "-m", "gateway", "run", "-c", str(file)]


@cache
def _python(tree: Path) -> str:
    """Return the Python of a checkout, whose modules are compiled as by an installation."""
    own = tree / ".venv/bin/python"
    python = str(own) if own.exists() else sys.executable
    compiling = [python, "-m", "compileall", "-q", "gateway"]
    subprocess.run(compiling, check=True, cwd=tree)
    return python


@contextmanager
def gateway(
    backends: Backends,
    *,
    options: Options = USUAL,
    tree: Path = HERE,
    name: str = "gateway",
) -> Iterator[System]:
    """Run the gateway; the system asks for a protected page with a token."""
    port = free_port()
    # In a folder of its own: the gateway watches it, and the log grows in the other one.
    folder = backends.folder / name.replace(" ", "-").replace("/", "-")
    folder.mkdir(exist_ok=True)
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(config(backends, port, options)))
    cores = EVERY_CORE if options.cores > 1 else SYSTEM_CORE
    cookies = backends.express_cookies if options.foreign else backends.gateway_cookies
    with running(
        name, command(tree, file), backends.folder, cores=cores, cwd=tree
    ) as program:
        yield System(
            name=name,
            port=port,
            program=program,
            path=TOKEN,
            cookies=cookies,
            fields=_FORWARDED if options.proxied else {},
        ).ready()
