"""What the tests of the configuration share: text in, problems out."""

from collections.abc import Mapping
from pathlib import Path

from gateway.config.load import LoadedConfig, parse_config
from gateway.errors import ConfigError

PATH = Path("g.yaml")

REST = """\
upstreams:
  app: {url: http://127.0.0.1:3000}
routes:
  - {match: /**, rule: protected, upstream: app}
"""


def load(text: str | bytes, env: Mapping[str, str] | None = None) -> LoadedConfig:
    raw = text if isinstance(text, bytes) else text.encode()
    return parse_config(raw, path=PATH, env=env or {})


def problems_of(text: str | bytes, env: Mapping[str, str] | None = None) -> list[str]:
    """Return the problems of a configuration, none if it loads."""
    try:
        load(text, env)
    except ConfigError as error:
        return [str(problem).removeprefix("g.yaml:") for problem in error.problems]
    return []


def whole(*lines: str) -> str:
    """Return a configuration whose lines 2 and following are these."""
    return "\n".join(("version: 1", *lines, REST))
