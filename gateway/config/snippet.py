"""The source line of a problem with a caret, without secrets.

Only what is known to be harmless is shown: keys, and values of fields whose type in
the schema is not secret. All else is an ellipsis: secrets, comments, what is below a
key that the schema does not know. Of a file that is not YAML no value is shown,
because its end cannot be determined.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from gateway.config.document import Document, Span
from gateway.config.secrecy import KNOWN_NAMES, is_quotable, is_secret
from gateway.config.yaml_reader import read_document
from gateway.errors import Problem


def source_snippet(text: str, problem: Problem) -> str | None:
    """Return the line and its caret, two lines of text; None if it cannot be shown."""
    lines = _LINE_END.split(text)
    if not 0 < problem.line <= len(lines):
        return None
    line = lines[problem.line - 1].replace("\t", " ")
    raw = text.encode("utf-8", "replace")
    document = read_document(raw, file="", env={}, folder=_NOWHERE)
    shown = set(_readable(document, line, problem.line - 1))
    text_shown, caret = _masked(line, shown, problem.column - 1)
    start = max(0, caret - _BEFORE) if len(text_shown) > _WIDEST else 0
    cut = ("…" if start else "") + text_shown[start : start + _WIDEST]
    return f"{cut}\n{' ' * (caret - start + (1 if start else 0))}^"


def _readable(document: Document, line: str, at: int) -> Iterator[int]:
    """Return the columns that may be shown."""
    yield from range(len(line) - len(line.lstrip(" -")))
    if document.broken:
        for found in _KNOWN_KEY(line):
            yield from range(found.start(), found.end())
        return
    taken: set[int] = set()
    for span in document.spans:
        columns = _on_line(span, at, len(line))
        taken.update(columns)
        if _harmless(span):
            yield from columns
    for column, sign in enumerate(line):
        if column in taken:
            continue
        if sign not in _STRUCTURE:
            return  # a comment: it and the rest of the line
        yield column


def _harmless(span: Span) -> bool:
    if span.is_key:
        return not is_secret(span.loc[:-1]) and is_quotable(span.loc)
    one_line = span.start[0] == span.end[0]
    return one_line and not is_secret(span.loc) and not _SENSITIVE(span.text)


def _on_line(span: Span, at: int, width: int) -> Iterable[int]:
    if not span.start[0] <= at <= span.end[0]:
        return ()
    first = span.start[1] if span.start[0] == at else 0
    last = span.end[1] if span.end[0] == at else width
    return range(first, min(last, width))


def _masked(line: str, shown: set[int], caret: int) -> tuple[str, int]:
    """Return the line with an ellipsis for what is hidden, and where the caret goes."""
    out: list[str] = []
    place = None
    for column, sign in enumerate(line):
        if column == caret:
            place = len(out)
        if column in shown:
            out.append(sign)
        elif not out or out[-1] != "…":
            out.append("…")
        elif column == caret:
            place = len(out) - 1
    return "".join(out), len(out) if place is None else place


_NOWHERE: Final = Path("/nonexistent")
_LINE_END = re.compile(r"\r\n|\r|\n")
_STRUCTURE: Final = frozenset(" -{}[],:?")
_KNOWN_KEY = re.compile(
    rf"(?<![\w.-])(?:{'|'.join(sorted(KNOWN_NAMES))})\s*:(?=\s|$)"
).finditer
# A value with a user, a query or another field in it may hold a secret by mistake.
_SENSITIVE = re.compile(r"@|\?.*=|\w:\s|(?i:passw|secret|token=)").search
_WIDEST: Final = 100
_BEFORE: Final = 60
