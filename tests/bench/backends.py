"""What every system under test has behind it: an upstream, and Redis with sessions.

Both run on the core that the systems do not use.
"""

import base64
import hashlib
import hmac
import json
import os
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from gateway.sessions.cookie import new_token
from gateway.sessions.record import Identity, Tenant
from gateway.sessions.record_json import serialise
from tests.bench.processes import OTHER_CORE, running
from tests.bench.websockets import echoing
from tests.servers import free_port, valkey_server
from tests.walk.harness import a_session

SECRET: Final = "bench-session-secret"
SESSIONS: Final = 1000
PAGE_BYTES: Final = 1000
FILES: Final = {"100k": 100_000, "1m": 1 << 20}
_DAY: Final = 86_400


@dataclass(frozen=True)
class Backends:
    """Ports on loopback, and the tokens of the sessions that Redis holds."""

    folder: Path
    redis_port: int
    upstream_port: int
    """nginx, which passes WebSockets on to a program that echoes."""
    tokens: tuple[str, ...]

    @property
    def gateway_cookies(self) -> tuple[str, ...]:
        return tuple(f"gateway_session={token}" for token in self.tokens)

    @property
    def express_cookies(self) -> tuple[str, ...]:
        return tuple(f"connect.sid={express_value(token)}" for token in self.tokens)


@contextmanager
def backends(folder: Path, *, sessions: int = SESSIONS) -> Iterator[Backends]:
    """Run Redis with `sessions` sessions, and nginx as the upstream."""
    folder.chmod(0o755)  # nginx may run its worker as another user
    redis_port, upstream_port = free_port(), free_port()
    with (
        valkey_server(folder, port=redis_port),
        echoing(folder) as echo_port,
        running(
            "upstream",
            upstream_command(folder, upstream_port, echo_port),
            folder,
            cores=OTHER_CORE,
        ),
    ):
        tokens = fill(redis_port, sessions)
        yield Backends(folder, redis_port, upstream_port, tokens)


def nginx_command(
    folder: Path, name: str, http: str, head: str = "", workers: int = 1
) -> list[str]:
    """Write a configuration of nginx; return its command.

    Raises:
        FileNotFoundError: nginx is not installed.
    """
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        raise FileNotFoundError("nginx is not installed: apt-get install nginx")
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / f"{name}.conf"
    config.write_text(
        f"{head}\n{user} worker_processes {workers}; daemon off;\n"
        f"pid {folder}/{name}.pid;\n"
        f"error_log {folder}/{name}.err; worker_rlimit_nofile 20000;\n"
        "events { worker_connections 32768; }\n"
        "http { keepalive_requests 1000000000; client_max_body_size 8m;\n"
        f"client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;\n"
        f"{http}\n}}\n"
    )
    return [nginx, "-c", str(config), "-e", f"{folder}/{name}.err"]


def upstream_command(folder: Path, port: int, echo_port: int) -> list[str]:
    """nginx: a page of 1,000 bytes, two files, and uploads that it reads whole."""
    files = folder / "www"
    files.mkdir()
    for name, size in FILES.items():
        (files / name).write_bytes(os.urandom(size))
    page = "x" * PAGE_BYTES
    read_whole = folder / "read.sock"
    return nginx_command(
        folder,
        "upstream",
        f"""
        access_log off; sendfile on; client_body_buffer_size 2m;
        upstream itself {{ server unix:{read_whole}; keepalive 256; }}
        server {{ listen unix:{read_whole}; location / {{ return 200 'ok'; }} }}
        server {{
            listen 127.0.0.1:{port} backlog=8192;
            default_type text/plain;
            location / {{
                add_header Cache-Control no-store; add_header ETag 'W/"1"';
                return 200 '{page}';
            }}
            location ~ /ws$ {{
                proxy_pass http://127.0.0.1:{echo_port}; proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade; proxy_read_timeout 600s;
                proxy_set_header Connection upgrade;
            }}
            location ~ /100k$ {{ root {files}; try_files /100k =404; }}
            location ~ /1m$ {{ root {files}; try_files /1m =404; }}
            location ~ /upload$ {{
                proxy_pass http://itself; proxy_http_version 1.1; proxy_method GET;
                proxy_pass_request_body off; proxy_set_header Content-Length '';
                proxy_set_header Connection ''; proxy_set_header Cookie '';
            }}
        }}""",
    )


def fill(port: int, sessions: int) -> tuple[str, ...]:
    """Write each session once for each kind of reader; return their tokens."""
    now = time.time()
    tokens = []
    with redis.Redis(port=port) as client:
        pipe = client.pipeline(transaction=False)
        for number in range(sessions):
            token = new_token(os.urandom(32))
            tokens.append(token.value)
            email, name = f"u{number}@example.com", f"User {number}"
            record = a_session(
                now,
                identity=Identity(
                    id=f"u{number}",
                    traits={"email": email, "name": name},
                    roles=("member",),
                ),
                tenants={"t1": Tenant(id="t1", name="One", role="owner")},
                active_tenant="t1",
            )
            pipe.set(f"gateway:session:{token.key}", serialise(record), ex=_DAY)
            pipe.set(f"lua:session:{token.value}", serialise(record), ex=_DAY)
            user = {"id": f"u{number}", "email": email, "name": name, "role": "member"}
            cookie = {"originalMaxAge": None, "expires": None, "httpOnly": True}
            express = {
                "cookie": {**cookie, "path": "/"},
                "user": user,
                "tenant": "t1",
                "tenants": {"t1": {"name": "One", "role": "owner"}},
            }
            pipe.set(f"sess:{token.value}", json.dumps(express), ex=_DAY)
            plain = {"user_id": f"u{number}", "tenant_id": "t1", "email": email}
            pipe.set(f"session:{token.value}", json.dumps(plain), ex=_DAY)
        pipe.execute()
    return tuple(tokens)


def express_value(token: str) -> str:
    """Return the value of the cookie as express-session signs it."""
    mac = hmac.new(SECRET.encode(), token.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(mac).decode().rstrip("=")
    return urllib.parse.quote(f"s:{token}.{signature}", safe="")
