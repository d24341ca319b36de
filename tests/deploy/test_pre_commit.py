"""The hooks for commits: their configuration is valid, and they find what they should."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
HOOKS: list[dict[str, Any]] = [
    hook for repo in CONFIG["repos"] for hook in repo["hooks"]
]
KNOWN = {"id", "name", "entry", "language", "types", "types_or", "exclude"}


def check(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".ci/check_files.py", *files],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_no_hook_is_downloaded() -> None:
    assert {repo["repo"] for repo in CONFIG["repos"]} == {"local"}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_is_complete_and_its_program_is_installed(hook: dict[str, Any]) -> None:
    program, *rest = shlex.split(hook["entry"])

    assert {"id", "name", "entry", "language"} <= set(hook)
    assert set(hook) <= KNOWN | {"require_serial"}
    assert hook["language"] == "system"
    assert Path(program).parts[:2] == (".venv", "bin")
    assert (Path(sys.executable).parent / Path(program).name).exists()
    assert all((ROOT / each).exists() for each in rest if each.endswith(".py"))
    re.compile(hook.get("exclude", ""))


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.py", "<<<<<<< HEAD\n", "1: conflict marker"),
        ("a.md", "one \n", "1: trailing whitespace"),
        ("a.md", "one\ntwo", "2: no newline at the end"),
        ("a.yaml", "a: [1\n", "1: does not parse"),
        ("a.json", "{\n", "1: does not parse"),
        ("a.toml", "a =\n", "1: does not parse"),
        ("a.pem", "\n-----BEGIN " + "PRIVATE KEY-----\nMIIE\n", "2: private key"),
    ],
)
def test_a_problem_has_its_line(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(text)

    found = check(file)

    assert found.returncode == 1
    assert found.stdout.startswith(f"{file}:{problem}")


def test_the_files_of_this_project_pass() -> None:
    (hook,) = (hook for hook in HOOKS if hook["id"] == "files")
    files = [
        path
        for pattern in ("*.md", "docs/**/*.md", "config/*", "gateway/**/*.py", "*.toml")
        for path in ROOT.glob(pattern)
        if path.is_file()
        and not re.search(hook["exclude"], path.relative_to(ROOT).as_posix())
    ]

    found = check(*files)

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
