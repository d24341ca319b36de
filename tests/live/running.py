"""Starts the apps of tests/live/apps, with what npm and pip have installed."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

APPS = Path(__file__).parent / "apps"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MEMBERSHIPS = EXAMPLES / "better-auth" / "memberships.mjs"
PATIENCE = 60.0

ADA = {
    "id": "u_ada",
    "email": "ada@example.com",
    "password": "correct horse battery",
    "name": "Ada",
    "role": "admin",
}
MO = {
    "id": "u_mo",
    "email": "mo@example.com",
    "password": "staple hunter twelve",
    "name": "Mo",
    "role": "member",
}


@contextmanager
def running_app(
    name: str,
    folder: Path,
    env: Mapping[str, str],
    packages: Callable[[], Path],
    aliases: Mapping[str, str],
) -> Iterator[int]:
    """Run one of the apps; gives its port. `packages` and `aliases` are for Node's."""
    folder.mkdir()
    if name.endswith(".py"):
        command = [sys.executable, str(APPS / name)]
    else:
        _link(packages(), folder / "node_modules", aliases)
        for source in (APPS / name, APPS / "package.json", MEMBERSHIPS):
            shutil.copy(source, folder)
        command = ["node", name]
    with _running(command, folder, env) as port:
        yield port


def _link(packages: Path, to: Path, aliases: Mapping[str, str]) -> None:
    to.mkdir()
    for each in packages.iterdir():
        (to / each.name).symlink_to(each)
    for name, version in aliases.items():
        (to / name).unlink(missing_ok=True)
        (to / name).symlink_to(packages / version)


@contextmanager
def _running(command: list[str], folder: Path, env: Mapping[str, str]) -> Iterator[int]:
    stated = {"PATH": os.environ["PATH"], "USERS": json.dumps([ADA, MO]), **env}
    complaints = folder / "stderr"
    with complaints.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=stated, stdout=subprocess.PIPE, stderr=errors
        )
    output = process.stdout
    assert output is not None
    lines: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        for line in output:
            lines.put(line)
        lines.put(b"")

    reading = threading.Thread(target=read)
    reading.start()
    try:
        while not (line := lines.get(timeout=PATIENCE)).startswith(b"listening on "):
            assert line, complaints.read_text()
        yield int(line.split()[-1])
    finally:
        process.kill()
        process.wait(PATIENCE)
        reading.join(PATIENCE)
        output.close()
