"""`gateway healthcheck`: query the readiness of a running gateway."""

import asyncio
import http.client
import socket
import sys
from pathlib import Path

import click

from gateway.build.dns import build_dns
from gateway.cli import config_option, exit_with, load_or_exit
from gateway.config.addresses import split_listen
from gateway.config.schema import Config
from gateway.net.connect import open_socket
from gateway.net.resolver import Resolver

_PATIENCE = 3.0


@click.command(short_help="Query whether the gateway is ready.")
@config_option
def healthcheck(config: Path) -> None:
    """Query /readyz of the admin listener, for container health checks.

    Exit code 0: ready. 1: not ready, or no response.

    \b
    Example:
      gateway healthcheck -c gateway.yaml
    """
    loaded = load_or_exit(config)
    address = loaded.config.server.admin
    if address is None:
        exit_with(
            "health check unavailable: server.admin is null; set it to an address"
        )
    try:
        status, text = _query(split_listen(address), loaded.config)
    except (OSError, http.client.HTTPException) as error:
        exit_with(f"no response from {address}: {error}")
    click.echo(text.strip())
    sys.exit(0 if status == http.client.OK else 1)


def _query(place: tuple[str, int] | Path, config: Config) -> tuple[int, str]:
    host = "localhost" if isinstance(place, Path) else _reachable(place[0])
    port = 0 if isinstance(place, Path) else place[1]
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.sock = _connected(place, host, config)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(4096).decode("utf-8", "replace")
    finally:
        connection.close()


def _connected(
    place: tuple[str, int] | Path, host: str, config: Config
) -> socket.socket:
    if isinstance(place, Path):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_PATIENCE)
        try:
            sock.connect(str(place))
        except OSError:
            sock.close()
            raise
        return sock
    names = Resolver(build_dns(config))
    opening = open_socket(names, host, place[1], timeout=_PATIENCE)
    sock = asyncio.run(opening)
    sock.settimeout(_PATIENCE)
    return sock


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
