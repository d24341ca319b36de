"""`gateway healthcheck`: is the gateway of this configuration ready?"""

import http.client
import socket
import sys
from pathlib import Path

import click

from gateway.cli import config_option, load_or_exit
from gateway.config.values import split_listen

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
        status, text = _ask(split_listen(address))
    except (OSError, http.client.HTTPException) as error:
        click.echo(f"no answer from {address}: {error}", err=True)
        sys.exit(1)
    click.echo(text.strip())
    sys.exit(0 if status == http.client.OK else 1)


def _ask(place: tuple[str, int] | Path) -> tuple[int, str]:
    host = "localhost" if isinstance(place, Path) else _reachable(place[0])
    port = 0 if isinstance(place, Path) else place[1]
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        if isinstance(place, Path):
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(_PATIENCE)
            connection.sock.connect(str(place))
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(4096).decode("utf-8", "replace")
    finally:
        connection.close()


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
