"""The source distribution holds what it should, from the root and nowhere else."""

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOPS = {
    *("gateway", "config", "deploy", "docs", "README.md", "LICENSE", "CHANGELOG.md"),
    *("SECURITY.md", "pyproject.toml", "PKG-INFO", ".gitignore"),
}


def test_the_sdist_holds_the_product_and_no_test(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d"]
    subprocess.run([*command, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)

    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as found:
        names = [name.partition("/")[2] for name in found.getnames()]
    assert {name.partition("/")[0] for name in names} <= TOPS
    assert {"gateway/app.py", "config/gateway.yaml", "LICENSE"} <= set(names)
    assert all(
        n.startswith("deploy/postgres/") for n in names if n.startswith("deploy/")
    )
