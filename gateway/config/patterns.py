"""The two small languages inside values: paths of routes, placeholders of claims.

Only their spelling is checked here, so that a mistake has a place in the file; what
they mean is compiled by the modules that use them.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.config.complaint import (
    KEY,
    Complaint,
    Steps,
    expected,
    one_of,
    refused,
    several,
)
from gateway.config.fields import header_objection

PRESETS: Final = ("gateway", "oauth2-proxy", "authelia", "pomerium", "grafana", "none")

PLACEHOLDERS: Final = (
    "identity.id",
    "identity.roles",
    "session.id",
    "session.aal",
    "tenant.id",
    "tenant.name",
    "tenant.role",
)
REGISTERED: Final = frozenset(("iss", "aud", "exp", "iat", "nbf", "sub", "jti", "sid"))


def path_pattern(value: Any) -> str:
    """Accept literal segments, {one} segment, and a last /** for all below."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise expected("a path such as /admin/**, starting with /")
    segments = value.split("/")[1:]
    for at, segment in enumerate(segments):
        last = at == len(segments) - 1
        if segment == "**" and last:
            continue
        if segment == "**":
            raise refused("/** stands only at the end of a path")
        if not segment and not last:
            raise refused("a path has no empty segment: // matches nothing")
        if segment in {".", ".."}:
            raise refused("a path has no dot segments")
        if _SEGMENT(segment) is None and _PARAMETER(segment) is None:
            _refuse_segment(segment)
    names = [segment for segment in segments if segment.startswith("{")]
    if len(names) != len(set(names)):
        raise refused("a path names each {parameter} once")
    return value


def strip_prefix(value: Any) -> str:
    """Accept a path of literal segments, without a slash at the end."""
    found = path_pattern(value)
    if found.endswith(("/", "**")) or "{" in found:
        raise expected("a path of literal segments such as /api")
    return found


def claims(value: Any) -> dict[str, Any]:
    """Accept claim names with plain values, lists, mappings, or templates."""
    if not isinstance(value, dict):
        raise expected("a mapping of claims")
    found = [
        Complaint((name, KEY), f'the claim "{name}" is set by the gateway')
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
    found: list[Complaint] = []
    folded: dict[str, str] = {}
    for name, one in value.items():
        if objection := header_objection(name):
            found.append(Complaint((name, KEY), objection))
        first = folded.setdefault(name.lower().replace("_", "-"), name)
        if first != name:
            objection = f'"{first}" and "{name}" are one header to many servers'
            found.append(Complaint((name, KEY), objection))
        if not isinstance(one, str) or not one or not one.isprintable():
            objection = 'expected text such as "{identity.traits.email}"'
            found.append(Complaint((name,), objection))
        else:
            found += _template((name,), one)
    if found:
        raise several(found)
    return dict(value)


def _claim(path: Steps, value: Any) -> Iterator[Complaint]:
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


def _template(path: Steps, value: str) -> Iterator[Complaint]:
    """Check the braces: `{known.name}`, or `{{` and `}}` for the signs themselves."""
    rest = value.replace("{{", "").replace("}}", "")
    for inner in _BRACES.findall(rest):
        if inner in PLACEHOLDERS or _TRAIT(inner):
            continue
        known = (*PLACEHOLDERS, "identity.traits.NAME")
        near = difflib.get_close_matches(inner, known, 1, 0.5)
        hint = "known are " + ", ".join(f"{{{one}}}" for one in known)
        if near:
            hint = f"did you mean {{{near[0]}}}?"
        yield Complaint(path, "unknown placeholder", hint)
    if set(_BRACES.sub("", rest)) & {"{", "}"}:
        yield Complaint(path, "a brace that is no placeholder", "write it twice")


def _refuse_segment(segment: str) -> None:
    if "*" in segment:
        raise refused(
            "* is no pattern inside a path", "write /** at the end, or {name}"
        )
    if "{" in segment or "}" in segment:
        raise refused("a {parameter} is a whole segment of letters, digits and _")
    if "?" in segment or "#" in segment:
        raise refused("a path has no query and no fragment")
    raise refused("a character in this path has to be percent-encoded")


# RFC 3986 section 3.3: pchar, without ";" and "*", and with well-formed escapes.
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,=:@-]|%[0-9A-Fa-f]{2})*").fullmatch
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}").fullmatch
_STEP = r"[A-Za-z_-][A-Za-z0-9_-]*"
_TRAIT = re.compile(rf"identity\.traits\.{_STEP}(?:\.{_STEP})*").fullmatch
_BRACES = re.compile(r"\{([^{}]*)\}")
