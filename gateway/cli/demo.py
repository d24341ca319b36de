"""`gateway demo`: everything on this machine, to look at in a browser."""

import asyncio
import os

import click

from gateway.errors import EmbeddedUnavailable


@click.command(short_help="Run a sample app behind the gateway, with its own Redis.")
@click.option("--port", default=8080, show_default=True, help="Where the browser goes.")
@click.option("--admin-port", default=9090, show_default=True, help="Health, metrics.")
@click.option("--app-port", default=3000, show_default=True, help="The sample app.")
@click.option("--api-port", default=3001, show_default=True, help="Its API.")
def demo(port: int, admin_port: int, app_port: int, api_port: int) -> None:
    """Start an embedded Redis and PostgreSQL, a sample app and the gateway.

    A port that is taken is replaced by a free one. Nothing is kept when it stops.
    """
    try:
        # The extra `demo` brings what is imported here.
        from gateway.demo.run import Ports, run_demo  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed: pip install '.[demo]'"
        ) from error
    wanted = Ports(gateway=port, admin=admin_port, app=app_port, api=api_port)
    try:
        code = asyncio.run(run_demo(wanted=wanted, env=os.environ, say=click.echo))
    except EmbeddedUnavailable as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(code)
