"""The files that a page of the documentation shows, by heading and name."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FILE = re.compile(r"`((?:\w+/)*[\w.-]+\.(?:py|mjs|js|go|conf))`")


def files_of(page: str, heading: str) -> dict[str, str]:
    """Give the named files below a heading: each is the first that its text names."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = {}
    at = 0
    for block in _BLOCK.finditer(text):
        before = text[at : block.start()]
        at = block.end()
        titles = _HEADING.findall(_without_code(text[: block.start()]))
        names = _FILE.findall(before.rpartition("\n## ")[2].rpartition("\n### ")[2])
        if titles[-1] == heading and names:
            found[names[0]] = block[2]
    assert found, f"{page} shows no file below {heading}"
    return found


def block_of(page: str, heading: str, language: str) -> str:
    """Give the first block of a language below a heading."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in _BLOCK.finditer(text):
        titles = _HEADING.findall(_without_code(text[: block.start()]))
        if titles[-1] == heading and block[1] == language:
            return block[2]
    raise AssertionError(f"{page} shows no {language} below {heading}")


def _without_code(text: str) -> str:
    return _BLOCK.sub("", text)
