"""`gateway schema`: print the JSON Schema or the reference page of the configuration."""

import click

from gateway.config.reference import json_schema, markdown


@click.command(short_help="Print the configuration's JSON Schema.")
@click.option(
    "--markdown", "page", is_flag=True, help="Print the reference page instead."
)
def schema(page: bool) -> None:
    """Print the JSON Schema of the configuration, for editors.

    yaml-language-server uses it if the file begins with
    `# yaml-language-server: $schema=./gateway.schema.json`.

    \b
    Example:
      gateway schema > config/gateway.schema.json
    """
    click.echo(markdown() if page else json_schema(), nl=False)
