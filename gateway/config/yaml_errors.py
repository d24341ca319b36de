"""Messages about invalid YAML: what the parser reports, without values of the file."""

import re
from typing import Any, Final

import yaml

from gateway.config.yaml_text import LINE_END


def without_quotes(message: str | None) -> str:
    """Return a message of the YAML parser without what it quotes of the file.

    An indicator, such as the "}" that it expected, discloses nothing.
    """
    return _QUOTED(
        lambda quoted: quoted[0] if quoted[0][1:-1] in _INDICATORS else "…",
        message or "unreadable",
    )


def hint_at(text: str, mark: Any) -> str:
    """Return what is probably wrong on the line of an error."""
    if mark is None:
        return ""
    lines = LINE_END.split(text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces, not with tabs"
    if "[::" in line:
        return 'put "[v6]:port" in quotes'
    before = [at for at in range(min(mark.line, len(lines))) if lines[at].strip()]
    if (
        before
        and _KEY(lines[before[-1]])
        and _indent(line) > _indent(lines[before[-1]])
    ):
        # The parser reads both lines as one value, with a second colon in it.
        return f"this line is indented further than line {before[-1] + 1}"
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


# A key with its value on the same line: nothing belongs below it.
_KEY: Final = re.compile(r"\s*(?:- )*[\w.-]+:\s+[^\s\[{|>#]").match


def collection_hint(error: yaml.MarkedYAMLError) -> str:
    """Return which collection the parser was in, and what it lacks."""
    mark = error.context_mark
    context = error.context or ""
    if mark is None:
        return ""
    line = mark.line + 1
    if "flow" in context:
        opened = "[" if "sequence" in context else "{"
        return f"the {opened} of line {line}, column {mark.column + 1}, is not closed"
    if "block" in context:
        kind = "items of the list" if "collection" in context else "keys"
        return (
            f"check the indentation: the {kind} that begin on line {line} are in column "
            f"{mark.column + 1}"
        )
    return ""


_INDICATORS: Final = frozenset(",:?-{}[]")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"").sub
