"""`gateway run`: run the gateway."""

import contextlib
import os
import sys
from pathlib import Path

import click

from gateway.cli import config_option, load_or_exit
from gateway.embedded.redis import EmbeddedRedis
from gateway.errors import GatewayError
from gateway.observe.failure import describe, write_line
from gateway.workers import Launch
from gateway.workers import run as run_gateway


@click.command(short_help="Run the gateway.")
@config_option
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "console"]),
    default="auto",
    show_default=True,
    help="Log format; auto: console on a terminal, else json. Colours only on a terminal, "
    "and not if NO_COLOR is set.",
)
@click.option(
    "--share-addresses",
    is_flag=True,
    help="Share listen addresses with other instances started with this option, for a"
    " rolling restart on one machine.",
)
def run(config: Path, log_format: str, share_addresses: bool) -> None:
    """Run the gateway.

    SIGTERM drains connections and stops. SIGHUP, or a change of the configuration
    file, reloads the configuration.

    \b
    Example:
      gateway run -c gateway.yaml
    """
    loaded = load_or_exit(config)
    with contextlib.ExitStack() as stack:
        try:
            redis_url = None
            if loaded.config.redis.url.get_secret_value() == "embedded":
                redis_url = stack.enter_context(EmbeddedRedis()).url
                write_line(
                    "using embedded Redis; sessions are lost on exit."
                    f" For other commands: --redis {redis_url}"
                )
            code = run_gateway(
                Launch(
                    loaded=loaded,
                    env=dict(os.environ),
                    redis_url=redis_url,
                    log_format=log_format,
                    share_addresses=share_addresses,
                )
            )
        except (GatewayError, OSError) as error:
            write_line(f"error: {describe(error)}")
            sys.exit(1)
    sys.exit(code)
