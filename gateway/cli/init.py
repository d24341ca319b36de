"""`gateway init`: a configuration to start from, with what one would change next."""

import sys
from pathlib import Path
from typing import Final

import click
from pydantic_core import PydanticCustomError

from gateway.cli import config_option
from gateway.config.values import upstream_url


@click.command()
@config_option
@click.option(
    "--upstream",
    default="http://127.0.0.1:3000",
    show_default=True,
    metavar="URL",
    help="The app to protect.",
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def init(config: Path, upstream: str, force: bool) -> None:
    """Write a configuration to start from, with comments.

    \b
    Example:
      gateway init -c gateway.yaml --upstream http://127.0.0.1:3000
    """
    try:
        url = upstream_url(upstream)
    except PydanticCustomError as error:
        raise click.BadParameter(
            f"expected {error.message()}", param_hint="--upstream"
        ) from None
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        with config.open("w" if force else "x", encoding="utf-8") as file:
            file.write(STARTER.replace("UPSTREAM", url))
    except FileExistsError:
        click.echo(f"{config} exists; --force replaces it", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"cannot write {config}: {error.strerror}", err=True)
        sys.exit(1)
    click.echo(f"wrote {config}; next: gateway check -c {config}")


STARTER: Final = """\
# The configuration of the gateway. `gateway check` says what is wrong with it,
# `gateway schema` prints what else can be said.
version: 1

server:
  listen: 127.0.0.1:8080
  public_url: http://localhost:8080   # what the browser calls us
  # admin_token: ${GATEWAY_ADMIN_TOKEN}   # switches the admin API on

redis:                # none at hand: `pip install '.[demo]'` and `url: embedded`
  url: ${REDIS_URL:-redis://127.0.0.1:6379/0}

sign_in:
  url: /auth/login    # where a browser without a session is sent
  home: /             # where who is signed in is sent from there

upstreams:
  app:
    url: UPSTREAM
    may_sign_in: true   # its X-Gateway-Sign-In answers start sessions

# The most specific route wins, whatever the order.
routes:
  - {match: /**, rule: protected, upstream: app}
  - {match: /auth/**, rule: auth-redirect, upstream: app}
  - {match: /admin/**, rule: admin-only, upstream: app}
  # - {match: /static/**, rule: public, session: ignore, upstream: app}
"""
