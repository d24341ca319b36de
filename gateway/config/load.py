"""Load a file into a LoadedConfig, or raise ConfigError with every error."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gateway.config.checks import check
from gateway.config.checks.names import check_names
from gateway.config.document import Document, Loc, Mark
from gateway.config.partial import PartialConfig, without
from gateway.config.schema import Config
from gateway.config.warnings import add_warnings
from gateway.config.wording import add_problem
from gateway.config.yaml_reader import LARGEST, read_document
from gateway.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A legal configuration, and where in the file each part of it stands."""

    config: Config
    path: Path
    document: Document
    digest: bytes
    """The SHA-256 of the file as it was read."""
    warnings: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        return f"LoadedConfig(path={str(self.path)!r})"

    @property
    def outdated(self) -> bool:
        """Return whether the file has changed since it was read, or is gone."""
        try:
            return sha256(read_config(self.path)).digest() != self.digest
        except ConfigError:
            return True

    def where(self, *loc: str | int) -> Mark:
        """Return line and column of a value, given the keys that lead to it."""
        return self.document.where(loc)

    def source(self, *loc: str | int | Loc) -> str:
        """Return "gateway.yaml:12" for a place, given as parts or as one tuple."""
        parts: list[str | int] = []
        for part in loc:
            parts += part if isinstance(part, tuple) else (part,)
        line, _ = self.document.where(tuple(parts))
        return f"{self.path.name}:{line}"

    def problem(self, message: str, *loc: str | int, hint: str = "") -> Problem:
        """Return a problem at a place, for those who find out more than the schema."""
        return self.document.problem(self.document.where(loc), message, hint)

    def problem_at_key(self, message: str, *loc: str | int, hint: str = "") -> Problem:
        """Return a problem at a key."""
        return self.document.problem(self.document.where_key(loc), message, hint)


def load_config(path: Path, *, env: Mapping[str, str]) -> LoadedConfig:
    """Read and check a configuration file.

    Raises:
        ConfigError: the file cannot be used; all problems, in the order of the file.
    """
    return parse_config(read_config(path), path=path, env=env)


def parse_config(raw: bytes, *, path: Path, env: Mapping[str, str]) -> LoadedConfig:
    """Check the bytes of a configuration file; `path` is what problems name.

    Raises:
        ConfigError: as load_config.
    """
    folder = path.absolute().parent
    document = read_document(raw, file=str(path), env=env, folder=folder)
    if not isinstance(document.data, dict):
        if not document.problems:
            document.add_problem(document.where(()), "expected a mapping", _EMPTY)
        raise ConfigError(_in_order(document))
    config = _validated(document, {"folder": folder})
    if document.problems or config is None:
        raise ConfigError(_in_order(document))
    warnings = replace(document, problems=[])
    add_warnings(PartialConfig(config=config, document=warnings, places=()))
    return LoadedConfig(
        config=config,
        path=path,
        document=document,
        digest=sha256(raw).digest(),
        warnings=_in_order(warnings),
    )


def _validated(document: Document, context: Mapping[str, Any]) -> Config | None:
    """Validate; if that fails, check what is left once the faulty parts are out."""
    check_names(document)
    try:
        config = Config.model_validate(document.data, context=context)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    else:
        places = tuple(range(len(config.routes)))
        check(PartialConfig(config=config, document=document, places=places))
        return config
    add_problem(document, errors)
    rest, places = without(document.data, [error["loc"] for error in errors])
    try:
        config = Config.model_validate(rest, context=context)
    except ValidationError:
        return None
    check(PartialConfig(config=config, document=document, places=places))
    return None


def read_config(path: Path) -> bytes:
    """Read the bytes of a configuration file, as far as they may be too many.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    hint = ""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except FileNotFoundError as error:
        message = f"cannot read the file: {error.strerror}"
        hint = _instead_of(path)
    except OSError as error:
        message = f"cannot read the file: {error.strerror}"
    except ValueError:
        message = "cannot read the file: the name is not usable"
    problem = Problem(file=str(path), line=0, column=0, message=message, hint=hint)
    raise ConfigError((problem,))


def _instead_of(path: Path) -> str:
    """Return what to do about a configuration file that does not exist."""
    here = Path(path.name)
    if here != path and here.is_file():
        return f"add -c {here}"
    return "write one with `gateway init`, or name another with -c PATH"


def _in_order(document: Document) -> tuple[Problem, ...]:
    unique = dict.fromkeys(document.problems)
    return tuple(sorted(unique, key=lambda one: (one.line, one.column)))


_EMPTY: Final = "a configuration starts with version: 1"
