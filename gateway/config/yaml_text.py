"""Decodes the bytes of a YAML file, and finds places in its text."""

import re
from typing import Any

from gateway.config.document import Document, Mark


def decode(raw: bytes, document: Document) -> str | None:
    """Return the text of a file, or None and add a problem if it is not printable UTF-8."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        document.add_problem(_place_after(before), "invalid UTF-8")
        return None
    text = text.removeprefix("\ufeff")
    found = _UNPRINTABLE(text)
    if found is None:
        return text
    mark = _place_after(text[: found.start()])
    document.add_problem(mark, f"the character U+{ord(found[0]):04X} is not allowed")
    return None


def _place_after(before: str) -> Mark:
    lines = LINE_END.split(before)
    return len(lines), len(lines[-1]) + 1


def mark_of(mark: Any) -> Mark:
    """Return line and column, from 1, of a mark of the parser, which counts from 0."""
    return mark.line + 1, mark.column + 1


LINE_END = re.compile(r"\r\n|\r|\n")
# What YAML 1.1 section 5.1 allows, without the line ends that editors do not count
# (NEL, LS, PS) and without a byte order mark inside.
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]"
).search
