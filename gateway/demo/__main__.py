"""`python -m gateway.demo app|api|ping`: the sample's parts, each in a container."""

import os
import socket

import click
from aiohttp import web

from gateway.demo.api import NotesApi
from gateway.demo.app import sample_app
from gateway.demo.bearer import GatewayKeys

_host = click.option("--host", default="127.0.0.1", show_default=True)
_port = click.option("--port", default=3000, show_default=True)


@click.group()
def main() -> None:
    """Run one part of the sample alone."""


@main.command()
@_host
@_port
def app(host: str, port: int) -> None:
    """Run the sample app."""
    web.run_app(sample_app(), host=host, port=port, access_log=None)


@main.command()
@_host
@_port
def api(host: str, port: int) -> None:
    """Run the API, with DATABASE_URL and JWKS_URL from the environment."""

    async def build() -> web.Application:
        keys = GatewayKeys(os.environ["JWKS_URL"])
        return NotesApi(dsn=os.environ["DATABASE_URL"], keys=keys).app()

    web.run_app(build(), host=host, port=port, access_log=None)


@main.command()
@_port
def ping(port: int) -> None:
    """Succeed if something listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError as error:
        raise click.ClickException(f"nothing listens on port {port}") from error


if __name__ == "__main__":
    main(prog_name="python -m gateway.demo")
