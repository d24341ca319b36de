"""The JSON Schema and the reference page, generated from the schema."""

import inspect
import json
from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticUndefined

from gateway.config.fields import TenantSource
from gateway.config.schema import Config
from gateway.config.secret_values import Secret
from gateway.config.wording import inner


def json_schema() -> str:
    """Return the JSON Schema (draft 2020-12) that editors use, as text."""
    schema = Config.model_json_schema(schema_generator=_Generator)
    document = {"$schema": _DRAFT, "title": "Gateway configuration"}
    document |= _with_variables(schema)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def markdown() -> str:
    """Return the manual page: a table for each mapping of the file."""
    return "\n".join(_page()) + "\n"


class _Generator(GenerateJsonSchema):
    """Leaves defaults out: they are text of the manual, and some are not JSON."""

    def default_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def get_title_from_name(self, name: str) -> str:
        return name

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - theirs
        return False


def _with_variables(schema: Any) -> Any:
    """Also allow "${VAR}" for values that are not strings: editors see the raw file."""
    if isinstance(schema, list):
        return [_with_variables(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    document = {
        name: one if name in {"enum", "const", "required"} else _with_variables(one)
        for name, one in schema.items()
    }
    if document.get("type") in _NO_TEXT or "enum" in document or "const" in document:
        outer = {
            name: document.pop(name) for name in ("description",) if name in document
        }
        return outer | {"anyOf": [document, _VARIABLE]}
    if document.get("type") == "string" and "pattern" in document:
        outer = {
            name: document.pop(name) for name in ("description",) if name in document
        }
        return outer | {"anyOf": [document, _VARIABLE]}
    return document


def _page() -> Iterator[str]:
    yield _PREFACE
    yield from _section("", Config)


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## `{path}`" if path else "## The file"
    yield ""
    yield inspect.cleandoc(model.__doc__ or "")
    yield ""
    yield "| Key | Default | Meaning |"
    yield "| --- | --- | --- |"
    below: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        part = inner(field.annotation)
        where = f"{path}.{name}" if path else name
        if get_origin(part) is dict and _is_model(inner(get_args(part)[1])):
            below.append((f"{where}.NAME", inner(get_args(part)[1])))
        elif get_origin(part) is tuple and _is_model(inner(get_args(part)[0])):
            below.append((f"{where}[]", inner(get_args(part)[0])))
        elif _is_model(part):
            below.append((where, part))
        meaning = (field.description or "").replace("|", "\\|")
        yield f"| `{name}` | {_default(field, part)} | {meaning} |"
    yield ""
    for where, part in below:
        yield from _section(where, part)


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _default(field: FieldInfo, part: Any) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if default is PydanticUndefined or _is_model(part):
        return "`null`" if default is None else ""
    return f"`{_spelled(default, field)}`"


def _spelled(default: Any, field: FieldInfo) -> str:
    match default:
        case Secret():
            return default.get_secret_value()
        case tuple():
            parts = [_spelled(one, field) for one in default]
            return f"[{', '.join(parts)}]" if len(parts) != 1 else parts[0]
        case TenantSource():
            return "[session]"
        case float():
            return _duration(default)
        case str():
            return default
        case int() if default >= _KIB and default % _KIB == 0:
            return _size(default)
        case _:
            return json.dumps(default)


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    hours = seconds / 3600
    return f"{hours:g}h" if hours >= 1 else f"{seconds:g}s"


def _size(count: int) -> str:
    return f"{count // _KIB**2}MiB" if count % _KIB**2 == 0 else f"{count // _KIB}KiB"


_KIB: Final = 1024
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_NO_TEXT: Final = ("integer", "number", "boolean")
_VARIABLE: Final = {"type": "string", "pattern": r"\$\{"}
_PREFACE: Final = """\
# Configuration

This page is generated from the schema: `gateway schema --markdown`. `config/gateway.yaml` shows every
key with a comment. `gateway check` reports every error with file, line and column.

* **One YAML file.** Values that YAML parsers read differently (`no`, `012`, `1:30`, dates)
  are errors; the message shows how to write them. Anchors, aliases, tags, merge keys, and
  duplicate or unknown keys are errors, too.
* **Variables** in values: `${NAME}` is the environment variable, and an error if it is not
  set; `${NAME:-default}` has a default for an unset or empty variable;
  `${file:/run/secrets/name}` is the content of a file without the final newline; `$$` is a
  dollar sign. Variables are replaced after the YAML is parsed, so a value cannot add
  structure. Unquoted, the result may be a number or `true`; in quotes it is text.
* **Durations** are `250ms`, `10s`, `15m`, `6h`, `7d`; **sizes** `32KiB`, `64MiB`,
  `10MB` or a number of bytes.
* **File paths** that are not absolute are relative to the folder of the configuration.
"""
