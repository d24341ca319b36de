"""Gets Keycloak and Ory Hydra, once: by Maven, and built by Go."""

import json
import os
import shutil
import subprocess
from pathlib import Path

KEYCLOAK = "26.7.3"
HYDRA = "v2.3.0"
_GET = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


def cache() -> Path:
    """Where they are kept, outside of the repository."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "auth-gateway" / "idp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keycloak_archive() -> Path:
    """Download Keycloak's distribution, 177 MB."""
    archive = cache() / f"keycloak-quarkus-dist-{KEYCLOAK}.zip"
    if not archive.exists():
        artifact = f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:zip"
        _run(
            "mvn", "-q", "-B", _GET, f"-Dartifact={artifact}",
            f"-DoutputDirectory={cache()}", "-Dmdep.useBaseVersion=true",
        )  # fmt: skip
    assert archive.exists(), f"Maven did not bring {archive}"
    return archive


def hydra_binary() -> Path:
    """Build Ory Hydra from its Go module.

    `go install` cannot: the module replaces another one by a folder that it lacks.
    """
    binary = cache() / f"hydra-{HYDRA}"
    if binary.exists():
        return binary
    module = f"github.com/ory/hydra/v2@{HYDRA}"
    found = json.loads(_run("go", "mod", "download", "-json", module, cwd=cache()))
    source = cache() / "hydra-source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(found["Dir"], source, copy_function=shutil.copyfile)
    for folder in (source, *source.rglob("*/")):
        folder.chmod(0o755)
    client = "github.com/ory/hydra-client-go/v2"
    _run(
        "go", "mod", "edit", "-dropreplace", client, "-require", f"{client}@v2.2.1",
        cwd=source,
    )  # fmt: skip
    tags = "sqlite,sqlite_omit_load_extension"
    unfinished = str(binary) + ".unfinished"
    _run("go", "build", "-mod=mod", "-tags", tags, "-o", unfinished, ".", cwd=source)
    Path(unfinished).rename(binary)
    shutil.rmtree(source)
    return binary


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout
