"""The line of a problem with a caret below it, and without what may be secret."""

import re
from typing import Final

from gateway.errors import Problem


def excerpt(text: str, problem: Problem) -> str | None:
    """Return the line and its caret, two lines of text; None if it cannot be shown.

    The file may be one that did not parse, so secrets are told by the looks of their
    keys. A line that may be the rest of a secret is not shown at all.
    """
    lines = _LINE_END.split(text)
    if not 0 < problem.line <= len(lines):
        return None
    if _is_hidden(lines, problem.line - 1):
        return None
    line = lines[problem.line - 1].replace("\t", " ")
    caret = max(0, min(problem.column - 1, len(line)))
    end = len(line)
    if problem.message.startswith("unknown key"):
        end = _after_key(line, caret)
    for found in (_SENSITIVE(line), _USERINFO(line)):
        if found is not None:
            end = min(end, found.start("rest"))
    shown = line[:end] + ("…" if end < len(line) else "")
    start = max(0, caret - _BEFORE) if len(shown) > _WIDEST else 0
    shown = ("…" if start else "") + shown[start : start + _WIDEST]
    caret = min(caret, end) - start + (1 if start else 0)
    return f"{shown}\n{' ' * caret}^"


def _is_hidden(lines: list[str], at: int) -> bool:
    """Whether this line is below a key that looks like a secret's."""
    if not lines[at].strip():
        return False
    indent = _indent(lines[at])
    item = lines[at].lstrip().startswith("- ")
    for line in reversed(lines[:at]):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        dash = line.lstrip().startswith("- ")
        if _indent(line) < indent or (item and not dash and _indent(line) == indent):
            if _SENSITIVE_KEY(line):
                return True
            indent, item = _indent(line), dash
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _after_key(line: str, caret: int) -> int:
    colon = line.find(":", caret)
    return len(line) if colon < 0 or colon == len(line) - 1 else colon + 1


_LINE_END = re.compile(r"\r\n|\r|\n")
# `token` and `tokens` are names of profiles and of their section.
_NAME: Final = (
    r"(?!tokens?\b)[\"']?[\w.-]*"
    r"(?:tok|secr|pass|pwd|cred|hmac|private)[\w.-]*[\"']?"
)
_SENSITIVE = re.compile(rf"(?i)(?<![\w.-]){_NAME}\s*:\s*(?P<rest>\S)").search
_SENSITIVE_KEY = re.compile(rf"(?i)^[\s-]*{_NAME}\s*:").search
_USERINFO = re.compile(r"://(?P<rest>[^\s/]*@)").search
_WIDEST: Final = 100
_BEFORE: Final = 60
