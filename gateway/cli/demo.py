"""`gateway demo`: a complete setup on this machine, to try in a browser."""

import asyncio
import os

import click

from gateway.errors import EmbeddedUnavailable


@click.command(short_help="Run the gateway with a sample app and Redis.")
@click.option("--port", default=8080, show_default=True, help="Port of the gateway.")
@click.option(
    "--admin-port", default=9090, show_default=True, help="Port of the admin listener."
)
@click.option(
    "--app-port", default=3000, show_default=True, help="Port of the sample app."
)
@click.option(
    "--api-port", default=3001, show_default=True, help="Port of the sample API."
)
@click.option(
    "--oidc",
    is_flag=True,
    help="Sign in with an OpenID Connect provider (needs Node.js and npm).",
)
@click.option(
    "--provider-port", default=4000, show_default=True, help="Port of the provider."
)
def demo(
    port: int,
    admin_port: int,
    app_port: int,
    api_port: int,
    provider_port: int,
    *,
    oidc: bool,
) -> None:
    """Run the gateway with a sample app, an embedded Redis and PostgreSQL.

    With --oidc a local OpenID Connect provider signs users in. A port in use is replaced by a free one. All data is deleted on exit. Requests are logged if DEMO_ACCESS_LOG=true is set.
    """
    try:
        # The extra `demo` brings what is imported here.
        from gateway.demo.run import Ports, run_demo  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed; run: pip install '.[demo]'"
        ) from error
    wanted = Ports(
        gateway=port,
        admin=admin_port,
        app=app_port,
        api=api_port,
        provider=provider_port,
    )
    try:
        code = asyncio.run(
            run_demo(wanted=wanted, env=os.environ, say=click.echo, oidc=oidc)
        )
    except EmbeddedUnavailable as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(code)
