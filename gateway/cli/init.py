"""`gateway init`: write a starter configuration."""

from pathlib import Path
from typing import Final

import click
from pydantic_core import PydanticCustomError

from gateway.cli import config_option, exit_with
from gateway.config.urls import upstream_url


@click.command(short_help="Write a starter configuration.")
@config_option
@click.option(
    "--upstream",
    default="http://127.0.0.1:3000",
    show_default=True,
    metavar="URL",
    help="URL of the app to protect.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(config: Path, upstream: str, force: bool) -> None:
    """Write a commented starter configuration.

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
        exit_with(f"{config} exists; add --force to overwrite it")
    except OSError as error:
        exit_with(f"cannot write {config}: {error.strerror}")
    click.echo(f"wrote {config}; next: gateway check -c {config}")


STARTER: Final = """\
# Gateway configuration. `gateway check` validates it; `gateway schema` lists all keys.
version: 1

server:
  listen: 127.0.0.1:8080
  public_url: http://localhost:8080   # external URL, used for cookies and redirects
  # admin_token: ${GATEWAY_ADMIN_TOKEN}   # enables the admin API

redis:                # no Redis? run: pip install '.[demo]', then set url: embedded
  url: ${REDIS_URL:-redis://127.0.0.1:6379/0}

sign_in:
  url: /auth/login    # redirect target for browsers without a session
  home: /             # redirect target for signed-in users on auth-redirect routes

upstreams:
  app:
    url: UPSTREAM
    may_sign_in: true   # its X-Gateway-Sign-In response header starts a session

# The most specific route wins; order does not matter.
routes:
  - {match: /**, rule: protected, upstream: app}
  - {match: /auth/**, rule: auth-redirect, upstream: app}
  - {match: /admin/**, rule: admin-only, upstream: app}
  # - {match: /static/**, rule: public, session: ignore, upstream: app}
"""
