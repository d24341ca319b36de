"""Variables in scalars, replaced after YAML is parsed, so they cannot add structure.

The rules are those of OpenTelemetry's declarative configuration ("Environment
variable substitution"), with one difference: a variable that is not set and has no
default is an error, not an empty text.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final


class VariableError(ValueError):
    """A reference that cannot be replaced; its text names the reference, no value."""


def replace(text: str, *, env: Mapping[str, str], folder: Path) -> str:
    """Return `text` with ${VAR}, ${VAR:-default}, ${file:/path} and $$ replaced.

    What is put in is not looked at again. A "$" before anything else stays.

    Raises:
        VariableError: a reference is malformed, unset or unreadable.
    """
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        sign = text[dollar + 1 : dollar + 2]
        if sign == "$":
            out.append("$")
            at = dollar + 2
        elif sign == "{":
            end = text.find("}", dollar)
            if end < 0:
                raise VariableError('"${" is not closed; write $$ for a dollar sign')
            out.append(_value(text[dollar + 2 : end], env, folder))
            at = end + 1
        else:
            out.append("$")
            at = dollar + 1
    return "".join(out) + text[at:]


def _value(reference: str, env: Mapping[str, str], folder: Path) -> str:
    if reference.startswith("file:"):
        return _file(reference.removeprefix("file:"), folder)
    if (found := _VARIABLE(reference)) is None:
        raise VariableError("expected ${NAME}, ${NAME:-default} or ${file:/path}")
    value = env.get(found["name"])
    if found["default"] is not None:
        return value or found["default"]
    if value is None:
        raise VariableError(f"the variable {found['name']} is not set")
    return value


def _file(path: str, folder: Path) -> str:
    """Read a secret's file; the newline that editors leave at its end is dropped."""
    try:
        place = folder / path
        if not stat.S_ISREG(place.stat().st_mode):
            raise VariableError(f"{path} is not a file")
        with place.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
        if len(raw) > _LARGEST_FILE:
            raise VariableError(f"{path} is larger than 64 KiB")
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise VariableError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise VariableError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, VariableError):
            raise
        raise VariableError("the path of a ${file:…} cannot be used") from None


_VARIABLE = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^\n]*))?"
).fullmatch
_LARGEST_FILE: Final = 64 * 1024
