"""`python -m tests.wording [FILE...]`: report odd expressions; exit code 1 if any.

`allowed.txt` lists reviewed exceptions, one a line: a file, a tab, and text that the
expression must be part of. An entry that is not needed any more is an error too.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.wording.expressions import EXPRESSIONS
from tests.wording.prose import prose_of

ROOT = Path(__file__).parents[2]
ALLOWED = Path(__file__).parent / "allowed.txt"
PATTERNS = (
    "*.md",
    "docs/**/*.md",
    "docs/**/*.yaml",
    "config/*.yaml",
    "deploy/**/*",
    "Makefile",
    "Dockerfile",
    "gateway/**/*.html",
    "gateway/**/*.py",
)
GENERATED = {"modules.md"}
"""Pages of which the source is code that is not checked yet."""


def files() -> list[Path]:
    """Return the files that are checked."""
    found = {path for pattern in PATTERNS for path in ROOT.glob(pattern)}
    return sorted(path for path in found if path.is_file() and not _excluded(path))


def _excluded(path: Path) -> bool:
    return path.suffix == ".sql" or path.name in GENERATED


def findings(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Yield line, expression, the lines around it in one, and advice."""
    prose = prose_of(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    for pattern, advice in EXPRESSIONS:
        for found in pattern.finditer(prose):
            first = prose.count("\n", 0, found.start() + _leading(found[0]))
            last = prose.count("\n", 0, found.end())
            text = " ".join(" ".join(lines[first : last + 1]).split())
            yield first + 1, " ".join(found[0].split()), text, advice


def _leading(text: str) -> int:
    return len(text) - len(text.lstrip())


def allowed() -> dict[tuple[str, str], bool]:
    """Return the exceptions, none of them used yet."""
    found = {}
    for line in ALLOWED.read_text(encoding="utf-8").splitlines():
        name, tab, text = line.partition("\t")
        if tab and not line.startswith("#"):
            found[name, text] = False
    return found


def main(arguments: list[str]) -> int:
    """Print each finding as `file:line: expression: advice`; return the exit code."""
    exceptions = allowed()
    count = 0
    for path in [Path(name).resolve() for name in arguments] or files():
        name = str(path.relative_to(ROOT))
        for line, expression, text, advice in findings(path):
            keys = [key for key in exceptions if key[0] == name and key[1] in text]
            if keys:
                exceptions.update(dict.fromkeys(keys, True))
                continue
            count += 1
            print(f"{name}:{line}: {expression!r}: {advice}\n    {text}")
    unused = [key for key, used in exceptions.items() if not used]
    for name, text in unused if not arguments else ():
        count += 1
        print(f"{ALLOWED.name}: not needed any more: {name}: {text}")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
