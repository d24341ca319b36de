"""`gateway run`: serve until told to stop."""

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


@click.command()
@config_option
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "console"]),
    default="auto",
    show_default=True,
    help="Form of the log lines; auto is console on a terminal.",
)
@click.option(
    "--share-addresses",
    is_flag=True,
    help="Listen beside other instances that were started with this option, and take"
    " Unix sockets over: for a rolling restart on one machine.",
)
def run(config: Path, log_format: str, share_addresses: bool) -> None:
    """Serve until told to stop.

    SIGTERM drains and stops, SIGHUP or a change of the file reloads it.

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
                    "redis.url is embedded: sessions are gone when this stops."
                    f" Other commands find it by --redis {redis_url}"
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
            write_line(f"gateway: {describe(error)}")
            sys.exit(1)
    sys.exit(code)
