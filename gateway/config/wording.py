"""Format validation errors: what was expected, what was found.

The one place that words pydantic's error types. A value is repeated only when it
is written in the file, in plain sight, under a key that holds no secret.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway.config.diagnostic import KEY, Diagnostic
from gateway.config.document import Broken, Document, Loc
from gateway.config.schema import Config
from gateway.config.secrecy import is_quotable, is_secret


def add_problem(document: Document, errors: Sequence[ErrorDetails]) -> None:
    """Add what pydantic found to the document's problems, in people's words."""
    misspelled = {
        (*loc[:-1], meant)
        for error in errors
        if error["type"] == "extra_forbidden"
        for loc in (error["loc"],)
        for meant in difflib.get_close_matches(str(loc[-1]), known_keys(loc[:-1]), 1)
    }
    for error in errors:
        if error["type"] == "missing" and error["loc"] in misspelled:
            continue  # the key is there, with another spelling
        loc = error["loc"]
        kind = error["type"]
        found = _at(document.data, loc)
        if kind == "extra_forbidden":
            _unknown_key(document, loc)
        elif kind == "missing":
            holder = document.where(loc[:-1])
            document.add_problem(holder, f'missing key "{loc[-1]}"', _missing_hint(loc))
        elif kind == "several":
            _each(document, loc, error["ctx"]["diagnostics"])
        elif loc and loc[-1] == KEY:
            document.add_problem(document.where_key(loc[:-1]), _key_words(error))
        elif kind == "too_short" and found not in ((), {}):
            continue  # its parts are reported
        elif _is_broken(found) or kind == "default_factory_not_called":
            continue
        else:
            message, hint = _words(error, loc, found)
            if kind != "refused" and (got := _got(document, loc, found)):
                message += f", got {got}"
            document.add_problem(document.where(loc), message, hint)


def known_keys(loc: Loc) -> tuple[str, ...]:
    """Return the keys that the schema knows in the mapping at this place."""
    model = _model_at(loc)
    return tuple(model.model_fields) if model else ()


def nearest(wanted: object, known: Sequence[str]) -> str:
    """Return 'did you mean "x"?', or nothing if no known name is near."""
    near = difflib.get_close_matches(str(wanted), known, 1)
    return f'did you mean "{near[0]}"?' if near else ""


def _unknown_key(document: Document, loc: Loc) -> None:
    known = known_keys(loc[:-1])
    hint = near = nearest(loc[-1], known)
    if not hint and (home := _HOMES.get(str(loc[-1]))):
        hint = f"it belongs to {home}"
    if not hint:
        hint = "known are " + ", ".join(known)
    name = f' "{loc[-1]}"' if near or is_quotable(loc) else ""
    document.add_problem(document.where_key(loc), f"unknown key{name}", hint)


def _each(document: Document, loc: Loc, diagnostics: Sequence[Diagnostic]) -> None:
    for one in diagnostics:
        if one.path[-1] == KEY:
            mark = document.where_key(loc + one.path[:-1])
        else:
            mark = document.where(loc + one.path)
        if not _is_broken(_at(document.data, loc + one.path)):
            document.add_problem(mark, one.message, one.hint)


def _missing_hint(loc: Loc) -> str:
    return "write version: 1 first" if loc == ("version",) else ""


def _key_words(error: ErrorDetails) -> str:
    return f"expected {error['msg']}" if error["type"] == "expected" else error["msg"]


def _words(error: ErrorDetails, loc: Loc, found: Any) -> tuple[str, str]:
    kind = error["type"]
    ctx = error.get("ctx", {})
    if kind == "expected":
        return f"expected {ctx['what']}", ctx["hint"]
    if kind == "refused":
        return ctx["what"], ctx["hint"]
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", ctx["expected"])
        return "expected one of " + ", ".join(known), nearest(found, known)
    if kind in {"model_type", "dict_type"}:
        hint = "remove the key to take the defaults" if found is None else ""
        if isinstance(found, str) and "url" in known_keys(loc):
            hint = "write {url: …}"
        return "expected a mapping", hint
    if kind == "tuple_type" and isinstance(found, Mapping):
        return _WORDS[kind], "each entry begins with a dash: - …"
    if kind == "tuple_type" and isinstance(found, str):
        return _WORDS[kind], "write it in brackets: […]"
    words = _WORDS.get(kind, f"this value is not allowed ({kind})")
    limit = next((ctx[key] for key in _LIMITS if key in ctx), "")
    return words.format(limit), ""


def _got(document: Document, loc: Loc, found: Any) -> str:
    """Describe what was found, or nothing if that could give a secret away."""
    if isinstance(found, tuple):
        return "a list" if found else "an empty list"
    if isinstance(found, Mapping):
        return "a mapping" if found else "an empty mapping"
    if found is None:
        return "nothing"
    around = (loc[:end] for end in range(len(loc) + 1))
    if is_secret(loc) or any(map(document.replaced.get, around)):
        return ""
    if isinstance(found, str) and _TELLTALE(found):
        return ""
    if isinstance(found, str) and len(found) > _SHOWN:
        found = found[:_SHOWN] + "…"
    return json.dumps(found, ensure_ascii=False)


def _at(data: Any, loc: Loc) -> Any:
    for part in loc:
        if isinstance(data, Mapping):
            if part not in data:
                return data
            data = data[part]
        elif isinstance(data, tuple) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return data  # a single value that stands for a list, or for a mapping
    return data


def _is_broken(value: Any) -> bool:
    match value:
        case Broken():
            return True
        case dict():
            return any(_is_broken(one) for one in value.values())
        case tuple():
            return any(_is_broken(one) for one in value)
        case _:
            return False


def _model_at(loc: Loc) -> type[BaseModel] | None:
    model: Any = Config
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(part))
            if field is None:
                return None
            model = inner(field.annotation)
        elif get_origin(model) is dict:
            model = inner(get_args(model)[1])
        elif get_origin(model) is tuple:
            model = inner(get_args(model)[0])
        else:
            return None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def inner(annotation: Any) -> Any:
    """Unwrap Annotated and "| None"."""
    if get_origin(annotation) is Annotated:
        return inner(get_args(annotation)[0])
    if type(None) in get_args(annotation):
        kept = [one for one in get_args(annotation) if one is not type(None)]
        return inner(kept[0])
    return annotation


def _homes(model: type[BaseModel], path: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if path:
            yield name, path
        part = inner(field.annotation)
        below = f"{path}.{name}" if path else name
        if get_origin(part) is dict:
            part, below = inner(get_args(part)[1]), f"{below}.NAME"
        elif get_origin(part) is tuple:
            part = inner(get_args(part)[0])
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _homes(part, below)


# A key that is known elsewhere: where it belongs, if that is one place only.
_ALL_HOMES: Final = tuple(_homes(Config, ""))
_HOMES: Final = {
    name: home
    for name, home in _ALL_HOMES
    if sum(one == name for one, _ in _ALL_HOMES) == 1
}
_WORDS: Final = {
    "tuple_type": "expected a list",
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "greater_than_equal": "expected a number of at least {}",
    "less_than_equal": "expected a number of at most {}",
    "too_short": "expected at least one entry",
    "too_long": "expected at most {} entries",
}
# A URL, or a value that swallowed the lines below it: it may hold a secret.
_TELLTALE: Final = re.compile(r"@|://|:/|[\n:] ").search
_LIMITS: Final = ("ge", "le", "max_length")
_SHOWN: Final = 60
