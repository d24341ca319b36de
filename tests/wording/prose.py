"""The prose of a file: the file with everything else blanked, at the same offsets."""

import io
import re
import tokenize
from pathlib import Path

CODE = "\x00"
"""Stands for code inside prose, so that no expression matches across it."""

_FENCE = re.compile(r"^([ ]*)```.*?^\1```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?:[ ]{4,}(?![*-] |\d+\. ).*\n)+")
_SPAN = re.compile(r"`[^`\n]*(?:\n[^`\n]+)?`")
_TARGET = re.compile(r"(?<=\])\([^)\s]+\)")
_TAG = re.compile(
    r"<(script|style|pre|code)\b.*?</\1>|<[^>]*>|\{[{%#].*?[}%#]\}", re.DOTALL
)
_COMMENT = re.compile(r"(?:^|(?<=\s))#+(?!!)(.*)$", re.MULTILINE)
_LINE_START = re.compile(r"^[ ]*#+ ?", re.MULTILINE)
_STRING = re.compile(r"[rRbBuUfF]*(\"\"\"|'''|\"|')(.*)\1\Z", re.DOTALL)


def prose_of(path: Path) -> str:
    """Return the prose of a file; offsets and line numbers are those of the file."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".md":
            return _markdown(text)
        case ".py":
            return _python(text)
        case ".html":
            return _TAG.sub(_blank, text)
        case _:
            return _comments(text)


def _blank(found: re.Match[str], mark: str = CODE) -> str:
    return mark + re.sub(r"[^\n]", " ", found[0])[1:] if found[0] else ""


def _markdown(text: str) -> str:
    for pattern in (_FENCE, _INDENTED, _SPAN, _TARGET):
        text = pattern.sub(_blank, text)
    return text


def _comments(text: str) -> str:
    """YAML, shell, Makefile, TOML, service files: what stands after `#`."""
    kept = list(re.sub(r"[^\n]", " ", text))
    for found in _COMMENT.finditer(text):
        kept[found.start(1) : found.end(1)] = found[1]
        kept[found.start()] = " " if text[: found.start()].endswith("\n") else CODE
    return _SPAN.sub(_blank, "".join(kept))


def _python(text: str) -> str:
    """Docstrings, comments and string literals; triple quotes stay, as a start."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    kept = [char if char == "\n" else " " for char in text]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        begin = starts[token.start[0] - 1] + token.start[1]
        if token.type == tokenize.COMMENT:
            kept[begin + 1 : begin + len(token.string)] = token.string[1:]
            if text[:begin].rpartition("\n")[2].strip():
                kept[begin] = CODE
        elif token.type == tokenize.STRING:
            found = _STRING.match(token.string)
            assert found is not None
            quote = begin + found.start(1)
            kept[quote : quote + len(found[1])] = (
                found[1] if len(found[1]) == 3 else CODE
            )
            inside = begin + found.start(2)
            kept[inside : inside + len(found[2])] = found[2]
    return _SPAN.sub(_blank, "".join(kept))
