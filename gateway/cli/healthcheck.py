"""`gateway healthcheck`: is the gateway of this configuration ready?"""

import asyncio
import http.client
import socket
import sys
from pathlib import Path

import click

from gateway.build.dns import build_dns
from gateway.cli import config_option, load_or_exit
from gateway.config.schema import Config
from gateway.config.values import split_listen
from gateway.net.connect import open_socket
from gateway.net.resolver import Resolver

_PATIENCE = 3.0


@click.command()
@config_option
def healthcheck(config: Path) -> None:
    """Ask the admin listener whether the gateway is ready; for containers.

    Exit code 0: ready. 1: not ready, or no answer.

    \b
    Example:
      gateway healthcheck -c gateway.yaml
    """
    loaded = load_or_exit(config)
    address = loaded.config.server.admin
    if address is None:
        click.echo("server.admin is null, so there is nobody to ask", err=True)
        sys.exit(1)
    try:
        status, text = _ask(split_listen(address), loaded.config)
    except (OSError, http.client.HTTPException) as error:
        click.echo(f"no answer from {address}: {error}", err=True)
        sys.exit(1)
    click.echo(text.strip())
    sys.exit(0 if status == http.client.OK else 1)


def _ask(place: tuple[str, int] | Path, config: Config) -> tuple[int, str]:
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
