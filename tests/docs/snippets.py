"""The files that a page of the documentation shows, by heading and name.

A paragraph that begins with a file's name is followed by the file.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FILE = re.compile(r"`((?:\w+/)*[\w.-]+\.(?:py|mjs|js|go))`")


def files_of(page: str, heading: str) -> dict[str, str]:
    """Give the files that a page shows below a heading."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = {}
    for block in _BLOCK.finditer(text):
        before = text[: block.start()].rstrip()
        titles = _HEADING.findall(_without_code(before))
        named = _FILE.match(before.rpartition("\n\n")[2])
        if titles[-1] == heading and named:
            found[named[1]] = block[2]
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
