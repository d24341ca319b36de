"""Check the text files that are given: `python .ci/check_files.py FILE ...`.

Prints `file:line: problem`; exit code 1 if there is one.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml

_CONFLICT = re.compile(r"(<{7}|>{7}) \S")
_KEY = re.compile(
    r"-----BEGIN (RSA |EC |OPENSSH |ENCRYPTED )?PRIVATE KEY-----\n[A-Za-z0-9+/]"
)


def problems(file: Path) -> Iterator[str]:
    """Yield each problem of a file, with its line."""
    text = file.read_text(encoding="utf-8")
    for number, line in enumerate(text.split("\n"), start=1):
        if _CONFLICT.match(line):
            yield f"{file}:{number}: conflict marker"
        if line != line.rstrip():
            yield f"{file}:{number}: trailing whitespace"
    if text and not text.endswith("\n"):
        yield f"{file}:{text.count(chr(10)) + 1}: no newline at the end"
    if key := _KEY.search(text):
        yield f"{file}:{text.count(chr(10), 0, key.start()) + 1}: private key"
    try:
        _parse(file, text)
    except (ValueError, yaml.YAMLError) as error:
        yield f"{file}:1: does not parse: {error}"


def _parse(file: Path, text: str) -> None:
    match file.suffix:
        case ".json":
            json.loads(text)
        case ".toml":
            tomllib.loads(text)
        case ".yaml" | ".yml":
            for _ in yaml.compose_all(text, Loader=yaml.SafeLoader):
                pass
        case _:
            pass


if __name__ == "__main__":
    found = [line for name in sys.argv[1:] for line in problems(Path(name))]
    for line in found:
        print(line)
    sys.exit(bool(found))
