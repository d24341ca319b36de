"""`python -m tests.sizes`: report functions and modules that are too long; exit code 1.

`allowed.txt` lists the exceptions: a module, or a module and a function, and after `#`
the reason. An entry that is not needed any more is an error too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ALLOWED: Final = Path(__file__).parent / "allowed.txt"
FUNCTION: Final = 60
"""A function has fewer lines, from `def` to its end, with its docstring."""
MODULE: Final = 300
"""A module has at most as many lines."""


def too_long(source: str, module: str) -> Iterator[tuple[str, int]]:
    """Yield what is too long, as "x/y.py" or "x/y.py name", with its lines."""
    count = len(source.splitlines())
    if count > MODULE:
        yield module, count
    for name, lines in functions(ast.parse(source)):
        if lines >= FUNCTION:
            yield f"{module} {name}", lines


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield the qualified name and the lines of each function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = prefix + node.name
            if not isinstance(node, ast.ClassDef):
                yield name, (node.end_lineno or node.lineno) - node.lineno + 1
            yield from functions(node, f"{name}.")
        else:
            yield from functions(node, prefix)


def allowed() -> set[str]:
    """Return the entries of the list of exceptions."""
    lines = ALLOWED.read_text(encoding="utf-8").splitlines()
    entries = (line.partition("#")[0].strip() for line in lines)
    return {entry for entry in entries if entry}


def main() -> int:
    """Print what is too long and not allowed; return the exit code."""
    found: dict[str, int] = {}
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        module = path.relative_to(ROOT / "gateway").as_posix()
        found |= too_long(path.read_text(encoding="utf-8"), module)
    exceptions = allowed()
    problems = [
        f"gateway/{entry}: {lines} lines; split it"
        for entry, lines in found.items()
        if entry not in exceptions
    ]
    problems += [
        f"{ALLOWED.name}: not needed any more: {entry}"
        for entry in sorted(exceptions - found.keys())
    ]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
