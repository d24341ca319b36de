"""nginx that asks for each request with `auth_request`: the gateway, or oauth2-proxy.

The program that decides is a child of nginx's process, so that the CPU time of both is
counted.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from tests.bench.backends import Backends, nginx_command
from tests.bench.install import Peers
from tests.bench.processes import running, wait_until
from tests.bench.systems.gateway import (
    DECISION,
    HERE,
    TOKEN,
    Options,
    command,
    config,
)
from tests.bench.systems.oauth2_proxy import options, provider, sign_in
from tests.bench.systems.system import System, UnavailableError
from tests.servers import free_port

NGINX: Final = HERE / "deploy/nginx"
# The same for both: what is set on requests, and no sign-in, which is not measured.
_OAUTH2: Final = """
upstream oauth2 { server 127.0.0.1:OAUTH2; keepalive 256; }
upstream app    { server 127.0.0.1:APP; keepalive 256; }
server {
    listen 127.0.0.1:PORT backlog=8192;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    location / {
        auth_request /oauth2/auth;
        auth_request_set $user  $upstream_http_x_auth_request_user;
        auth_request_set $email $upstream_http_x_auth_request_email;
        auth_request_set $token $upstream_http_authorization;
        auth_request_set $auth_cookie $upstream_http_set_cookie;
        add_header Set-Cookie $auth_cookie;
        proxy_set_header X-User  $user;
        proxy_set_header X-Email $email;
        proxy_set_header Authorization $token;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_pass http://app;
    }
    location = /oauth2/auth {
        internal;
        proxy_pass http://oauth2;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Uri $request_uri;
    }
}
"""


@contextmanager
def nginx_gateway(backends: Backends, _: Peers) -> Iterator[System]:
    """Run the example of deploy/nginx, with a gateway that decides."""
    port, own, authz = free_port(), free_port(), free_port()
    folder = backends.folder / "auth-request"
    folder.mkdir(mode=0o755)
    settings = config(backends, own, Options(authz_port=authz))
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(settings))
    for source in NGINX.glob("*.conf"):
        text = source.read_text()
        for known, now in (
            ("listen 80;", f"listen 127.0.0.1:{port} backlog=8192;"),
            ("127.0.0.1:9091; keepalive 32", f"127.0.0.1:{authz}; keepalive 256"),
            ("127.0.0.1:8080", f"127.0.0.1:{own}"),
            ("127.0.0.1:3000; keepalive 32", f"127.0.0.1:{backends.upstream_port}; keepalive 256"),
        ):  # fmt: skip
            text = text.replace(known, now)
        (folder / source.name).write_text(text)
    log = f"access_log {folder}/access.log;\n"
    nginx = _nginx(folder, log + "include gateway.conf;")
    both = f"{shlex.join(command(HERE, file))} & exec {shlex.join(nginx)}"
    name = "nginx + gateway"
    with running(name, ["sh", "-c", both], folder, cwd=HERE) as program:
        yield System(
            name=name,
            port=port,
            program=program,
            path=TOKEN,
            cookies=backends.gateway_cookies,
        ).ready()


@contextmanager
def nginx_oauth2_proxy(backends: Backends, peers: Peers) -> Iterator[System]:
    """Run nginx with oauth2-proxy, as the documentation of the latter has it."""
    port, own = free_port(), free_port()
    folder = backends.folder / "auth-request-oauth2"
    folder.mkdir(mode=0o755)
    text = f"access_log {folder}/access.log;\n" + _OAUTH2
    for name, number in (
        ("PORT", port),
        ("OAUTH2", own),
        ("APP", backends.upstream_port),
    ):
        text = text.replace(f":{name}", f":{number}")
    nginx = _nginx(folder, text)
    with provider() as issuer:
        proxy = [
            str(peers.program("oauth2-proxy")),
            *options(issuer),
            f"--http-address=127.0.0.1:{own}",
            f"--redirect-url=http://127.0.0.1:{own}/oauth2/callback",
            "--upstream=static://202",
            "--reverse-proxy=true",
            "--set-xauthrequest=true",
            "--set-authorization-header=true",
            f"--redis-connection-url=redis://127.0.0.1:{backends.redis_port}/2",
        ]
        both = f"{shlex.join(proxy)} & exec {shlex.join(nginx)}"
        name = "nginx + oauth2-proxy"
        with running(name, ["sh", "-c", both], folder) as program:
            direct = System(name=name, port=own, program=program, path="")
            if not wait_until(lambda: direct.status("/ping") == 200, program):
                raise UnavailableError(f"it did not start: {program.last_words()}")
            cookies = [sign_in(own, f"u{n}") for n in range(len(backends.tokens))]
            yield System(
                name=name, port=port, program=program, path=TOKEN, cookies=cookies
            ).ready()


@contextmanager
def decisions(backends: Backends, _: Peers) -> Iterator[System]:
    """Run the gateway alone, asked for decisions as Envoy asks."""
    own, authz = free_port(), free_port()
    file = backends.folder / "decisions.yaml"
    settings = config(backends, own, Options(authz_port=authz))
    file.write_text(yaml.safe_dump(settings))
    name = "gateway, decision"
    with running(name, command(HERE, file), backends.folder, cwd=HERE) as program:
        yield System(
            name=name,
            port=authz,
            program=program,
            path=DECISION,
            cookies=backends.gateway_cookies,
            fields={
                "X-Forwarded-For": "203.0.113.9",
                "X-Forwarded-Proto": "http",
            },
        ).ready()


def _nginx(folder: Path, http: str) -> list[str]:
    try:
        return nginx_command(folder, "nginx", http)
    except FileNotFoundError as error:
        raise UnavailableError(str(error)) from error
