"""The front proxies of deploy/, run with their example configuration on free ports."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.authz.mode import Mode
from tests.servers import PATIENCE, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass(frozen=True)
class Ports:
    """Of the front proxy, and of what it connects to."""

    front: int = field(default_factory=free_port)
    authz: int = field(default_factory=free_port)
    gateway: int = field(default_factory=free_port)
    app: int = field(default_factory=free_port)

    def put_into(self, text: str) -> str:
        """Replace the addresses of an example, but for that of its own listener."""
        for known, port in (
            ("127.0.0.1:9091", self.authz),
            ("127.0.0.1:8080", self.gateway),
            ("127.0.0.1:3000", self.app),
        ):
            assert known in text or known == "127.0.0.1:8080", known
            text = text.replace(known, f"127.0.0.1:{port}")
        return text


@dataclass(frozen=True)
class Front:
    """A running front proxy."""

    name: str
    mode: Mode
    ports: Ports


def program(name: str) -> str:
    """Find a program of a wheel, or of the system."""
    own = Path(sys.executable).parent / name
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    found = str(own) if own.is_file() else shutil.which(name, path=path)
    assert found, f"{name} is not installed"
    return found


def nginx(folder: Path, ports: Ports) -> list[str]:
    for name in ("gateway.conf", "gateway_forward.conf", "gateway_remove.conf"):
        text = (DEPLOY / "nginx" / name).read_text()
        if name == "gateway.conf":
            text = _replaced(
                ports.put_into(text), "listen 80;", f"listen 127.0.0.1:{ports.front};"
            )
        (folder / name).write_text(text)
    user = "" if os.geteuid() else "user root;"  # the folder is nobody else's
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/pid;\n"
        "error_log stderr warn;\n"
        "events { worker_connections 256; }\n"
        "http { access_log off;\n"
        + "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + "include gateway.conf;\n}\n"
    )
    return [program("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]


def caddy(folder: Path, ports: Ports) -> list[str]:
    text = (DEPLOY / "caddy/Caddyfile").read_text()
    site = f"http://:{ports.front} {{\n\tbind 127.0.0.1"
    text = _replaced(ports.put_into(text), "http://:80 {", site)
    options = "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\n"
    (folder / "Caddyfile").write_text(options + text)
    return [program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile"]


def traefik(folder: Path, ports: Ports) -> list[str]:
    static = (DEPLOY / "traefik/traefik.yaml").read_text()
    static = _replaced(static, '":80"', f'"127.0.0.1:{ports.front}"')
    static = _replaced(static, "/etc/traefik/gateway.yaml", f"{folder}/gateway.yaml")
    quiet = "global: {checkNewVersion: false, sendAnonymousUsage: false}\n"
    (folder / "traefik.yaml").write_text(static + quiet)
    dynamic = (DEPLOY / "traefik/gateway.yaml").read_text()
    (folder / "gateway.yaml").write_text(ports.put_into(dynamic))
    return [program("traefik"), "--configfile=traefik.yaml"]


def envoy(folder: Path, ports: Ports) -> list[str]:
    text = (DEPLOY / "envoy/envoy.yaml").read_text()
    text = _replaced(
        text, "0.0.0.0, port_value: 80", f"127.0.0.1, port_value: {ports.front}"
    )
    for known, port in (
        ("9091", ports.authz),
        ("8080", ports.gateway),
        ("3000", ports.app),
    ):
        text = _replaced(text, f"port_value: {known}", f"port_value: {port}")
    (folder / "envoy.yaml").write_text(text)
    return [
        program("envoy"), "-c", "envoy.yaml", "--use-dynamic-base-id",
        "--concurrency", "1", "-l", "warning",
    ]  # fmt: skip


def haproxy(folder: Path, ports: Ports) -> list[str]:
    text = (DEPLOY / "haproxy/haproxy.cfg").read_text()
    text = _replaced(text, "/etc/haproxy/", f"{folder}/")
    text = _replaced(text, "bind :80", f"bind 127.0.0.1:{ports.front}")
    (folder / "haproxy.cfg").write_text(ports.put_into(text))
    shutil.copy(DEPLOY / "haproxy/gateway.lua", folder)
    return [program("haproxy"), "-db", "-f", "haproxy.cfg"]


@dataclass(frozen=True)
class Kind:
    """How one front proxy is started, and whether it is ready."""

    mode: Mode
    command: Callable[[Path, Ports], list[str]]


KINDS = {
    "nginx": Kind(Mode.AUTH_REQUEST, nginx),
    "caddy": Kind(Mode.FORWARD_AUTH, caddy),
    "traefik": Kind(Mode.FORWARD_AUTH, traefik),
    "envoy": Kind(Mode.EXT_AUTHZ, envoy),
    "haproxy": Kind(Mode.FORWARD_AUTH, haproxy),
}


@contextmanager
def running(name: str, folder: Path) -> Iterator[Front]:
    """Start a front proxy, and wait until its routes are there."""
    kind, ports = KINDS[name], Ports()
    log = folder / "log"
    env = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            kind.command(folder, ports), cwd=folder, env=env,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait(process, ports.front, log)
        yield Front(name, kind.mode, ports)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until it answers with anything but 404: its routes are read by then."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as client:
                client.sendall(b"GET / HTTP/1.0\r\nHost: gw.test\r\n\r\n")
                client.settimeout(5)
                if re.match(rb"HTTP/1.\d (?!404)\d", client.recv(64)):
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new)
