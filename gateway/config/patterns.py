"""Validators of route paths and of claim placeholders.

The domain parses them; a mistake gets its place in the file here.
"""

from collections.abc import Callable, Iterator
from typing import Any

from gateway.config.diagnostic import (
    KEY,
    Diagnostic,
    Steps,
    expected,
    one_of,
    refused,
    several,
)
from gateway.config.fields import header_objection
from gateway.http.target import OPT_IN
from gateway.identity_headers import PRESETS
from gateway.routes.pattern import BadPattern, parse_path_pattern
from gateway.tokens.claims import compile_template
from gateway.tokens.template import REGISTERED
from gateway.tokens.template_parser import ClaimsError, compile_node


def path_pattern(value: Any) -> str:
    """Accept literal segments, {one} segment, and a last /** for all below."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise expected("a path such as /admin/**, starting with /")
    # Which escapes this route allows is not known here; the route table checks it.
    parsed = parse_path_pattern(value, frozenset(OPT_IN))
    if isinstance(parsed, BadPattern):
        raise refused(parsed.message, parsed.hint)
    return value


def strip_prefix(value: Any) -> str:
    """Accept a path of literal segments, without a slash at the end."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise expected("a path of literal segments such as /api")
    found = path_pattern(value)
    if found.endswith(("/", "**")) or "{" in found:
        raise expected("a path of literal segments such as /api")
    return found


def claims(value: Any) -> dict[str, Any]:
    """Accept claim names with plain values, lists, mappings, or templates."""
    if not isinstance(value, dict):
        raise expected("a mapping of claims")
    found = [
        Diagnostic((name, KEY), f'the claim "{name}" is set by the gateway')
        for name in value
        if name in REGISTERED
    ]
    for name, one in value.items():
        found += _claim((name,), one)
    if found:
        raise several(found)
    return {name: _listed(one) for name, one in value.items()}


def identity_headers(value: Any) -> str | dict[str, str]:
    """Accept the name of a preset, or a mapping of header names to templates."""
    if isinstance(value, str) and value in PRESETS:
        return value
    if not isinstance(value, dict):
        raise one_of(value, (*PRESETS, "a mapping of headers"))
    found: list[Diagnostic] = []
    folded: dict[str, str] = {}
    for name, one in value.items():
        if objection := header_objection(name):
            found.append(Diagnostic((name, KEY), objection))
        first = folded.setdefault(name.lower().replace("_", "-"), name)
        if first != name:
            objection = f'"{first}" and "{name}" are one header to many servers'
            found.append(Diagnostic((name, KEY), objection))
        if not isinstance(one, str) or not one or not one.isprintable():
            objection = 'expected text such as "{identity.traits.email}"'
            found.append(Diagnostic((name,), objection))
        else:
            found += _template((name,), one, compile_template)
    if found:
        raise several(found)
    return dict(value)


def _claim(path: Steps, value: Any) -> Iterator[Diagnostic]:
    match value:
        case str():
            yield from _template(path, value)
        case tuple():
            for at, one in enumerate(value):
                yield from _claim((*path, at), one)
        case dict():
            for name, one in value.items():
                yield from _claim((*path, name), one)
        case _:
            return


def _listed(value: Any) -> Any:
    """Return JSON's kinds of values: lists where the document holds tuples."""
    match value:
        case tuple():
            return [_listed(one) for one in value]
        case dict():
            return {name: _listed(one) for name, one in value.items()}
        case _:
            return value


def _template(
    path: Steps, value: str, compile_one: Callable[[str], object] = compile_node
) -> Iterator[Diagnostic]:
    try:
        compile_one(value)
    except ClaimsError as error:
        yield Diagnostic(path, error.message, error.hint)
