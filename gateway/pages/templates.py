"""Page templates: built-in ones, and a folder that may replace them by file name.

Custom templates are compiled and rendered when they are loaded, so an error is a
`ConfigError` with file and line. Built-in ones are compiled once per process, so that a
reload does not delay requests.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from traceback import walk_tb
from typing import Final

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateSyntaxError,
)

from gateway.errors import ConfigError, Problem

BUILTIN: Final = Path(__file__).parent / "templates"

Variables = Mapping[str, object]

_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL | re.IGNORECASE)


class Templates:
    """Compiled templates.

    A custom template may extend the built-in one as `gateway/<file>`.

    Raises:
        ConfigError: the folder cannot be read, replaces nothing, or holds a
            template that does not compile.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._builtin = _compiled()
        self._chosen = self._builtin if folder is None else _environment(folder)
        if folder is not None:
            self._check(folder)

    def render(self, name: str, variables: Variables) -> str:
        """Return a rendered page; if a custom template fails, the built-in one."""
        if self._chosen is self._builtin:
            return self._builtin.get_template(name).render(variables)
        try:
            return self._chosen.get_template(name).render(variables)
        except Exception:  # noqa: BLE001 - a custom template is foreign code
            return self._builtin.get_template(name).render(variables)

    def try_out(self, name: str, samples: Iterable[Variables]) -> None:
        """Render a page with every sample, if custom templates are in use.

        Raises:
            ConfigError: one could not be rendered.
        """
        if self._chosen is self._builtin:
            return
        for sample in samples:
            try:
                self._chosen.get_template(name).render(sample)
            except Exception as error:
                raise ConfigError([self._problem(error, name)]) from error

    def _check(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError([_bare(folder, "this folder of pages does not exist")])
        builtin = sorted(path.name for path in BUILTIN.iterdir())
        if not any((folder / name).is_file() for name in builtin):
            hint = f"the names are {', '.join(builtin)}"
            raise ConfigError([_bare(folder, "no file here replaces a page", hint)])
        problems = []
        for name in self._chosen.list_templates():
            if name.startswith("gateway/") or not name.endswith((".html", ".css")):
                continue
            try:
                self._chosen.get_template(name)
            except Exception as error:  # noqa: BLE001 - foreign code, see render
                problems.append(self._problem(error, name))
        if problems:
            raise ConfigError(problems)

    def _problem(self, error: Exception, name: str) -> Problem:
        file, line = str((self._folder or BUILTIN) / name), 0
        if isinstance(error, TemplateSyntaxError):
            file, line = error.filename or file, error.lineno
        elif self._folder is not None:
            # Jinja rewrites tracebacks so that frames name template files and lines.
            for frame, number in walk_tb(error.__traceback__):
                if Path(frame.f_code.co_filename).is_relative_to(self._folder):
                    file, line = frame.f_code.co_filename, number
        message = str(error) or type(error).__name__
        return Problem(file=file, line=line, column=1, message=message)


def content_security_policy(page: str) -> str:
    """Allow the page's own `<style>` elements by hash, and nothing else.

    CSP Level 3, section 8.5: the digest is of the element's text as it stands.
    """
    styles = " ".join(_source(text) for text in _STYLE.findall(page)) or "'none'"
    return (
        f"default-src 'none'; style-src {styles}; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@lru_cache(maxsize=1)
def _compiled() -> Environment:
    """Return the environment with the built-in templates compiled."""
    found = _environment(None)
    for path in BUILTIN.iterdir():
        found.get_template(path.name)
    return found


def _environment(folder: Path | None) -> Environment:
    builtin = FileSystemLoader(BUILTIN)
    named = PrefixLoader({"gateway": builtin})
    replaced = [] if folder is None else [FileSystemLoader(folder)]
    return Environment(
        loader=ChoiceLoader([*replaced, builtin, named]),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        cache_size=-1,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _bare(folder: Path, message: str, hint: str = "") -> Problem:
    return Problem(file=str(folder), line=0, column=0, message=message, hint=hint)
