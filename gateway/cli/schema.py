"""`gateway schema`: the JSON Schema of the configuration, and its manual page."""

import click

from gateway.config.reference import json_schema, markdown


@click.command()
@click.option("--markdown", "page", is_flag=True, help="Print the manual page instead.")
def schema(page: bool) -> None:
    """Print the JSON Schema of the configuration, for editors.

    Editors with yaml-language-server read it by the first line of the file:
    `# yaml-language-server: $schema=./gateway.schema.json`.

    \b
    Example:
      gateway schema > config/gateway.schema.json
    """
    click.echo(markdown() if page else json_schema(), nl=False)
