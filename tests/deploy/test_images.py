"""The image and the compose file, as far as they can be checked without an engine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load_config

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        (ROOT / "deploy/compose.yaml").read_text()
    )
    return document


@pytest.mark.needs("hadolint")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = run(str(TOOLS / "hadolint"), "Dockerfile")

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.needs("hadolint")
def test_hadolint_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nRUN cd /tmp && pip install x\n")

    assert run(str(TOOLS / "hadolint"), str(bad)).returncode != 0


@pytest.mark.needs("check-jsonschema")
def test_the_compose_file_is_what_the_compose_schema_describes() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")

    done = run(str(TOOLS / "check-jsonschema"), *schema, "deploy/compose.yaml")

    assert done.returncode == 0, done.stdout


@pytest.mark.needs("check-jsonschema")
def test_the_compose_schema_would_find_a_misspelt_key(tmp_path: Path) -> None:
    bad = tmp_path / "compose.yaml"
    bad.write_text("services: {a: {image: b, heathcheck: {}}}\n")
    schema = ("--builtin-schema", "vendor.compose-spec")

    assert run(str(TOOLS / "check-jsonschema"), *schema, str(bad)).returncode != 0


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()

    users = [line.split()[1] for line in lines if line.startswith("USER ")]

    assert users == ["65532:65532"]


def test_the_image_holds_no_secret_and_asks_the_gateway_itself_for_its_health() -> None:
    text = (ROOT / "Dockerfile").read_text()

    assert 'CMD ["gateway", "healthcheck"]' in text
    assert 'CMD ["gateway", "run"]' in text
    assert not any(word in text.lower() for word in ("password", "token", "secret"))


def test_what_the_image_copies_is_let_in_and_is_there() -> None:
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }

    assert copied == let_in
    assert all((ROOT / path).exists() for path in copied)


@pytest.mark.parametrize("name", ["gateway", "valkey", "app", "api", "postgres"])
def test_a_service_is_hardened_and_reports_its_health(name: str) -> None:
    service = compose()["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "stop_grace_period" in service
    # The gateway's is in its image.
    assert name == "gateway" or "healthcheck" in service


def test_only_the_gateway_is_reachable_and_only_from_this_machine() -> None:
    published = {
        name: service["ports"]
        for name, service in compose()["services"].items()
        if "ports" in service
    }

    assert published == {"gateway": ["127.0.0.1:8080:8080"]}


def test_secrets_are_files_and_in_no_environment() -> None:
    for name, service in compose()["services"].items():
        for variable in service.get("environment", {}):
            secret = "PASSWORD" in variable or "TOKEN" in variable
            assert not secret or variable.endswith("_FILE"), (name, variable)


def test_no_secret_file_of_compose_can_be_read_by_everyone() -> None:
    text = (ROOT / "deploy/compose.yaml").read_text()

    modes = dict(re.findall(r"^#   secret (\w+) (0[0-7]{3}) ", text, re.MULTILINE))

    assert set(modes) == set(compose()["secrets"])
    assert all(mode.endswith("0") for mode in modes.values())
    assert "install -d -m 0700 deploy/secrets" in text


def test_what_compose_mounts_is_there() -> None:
    assert (ROOT / "deploy/compose-gateway.yaml").is_file()
    assert list((ROOT / "deploy/postgres").glob("*.sql"))


def test_the_gateway_of_compose_is_a_configuration(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("only-a-test-secret-of-more-than-32-characters")
    text = (ROOT / "deploy/compose-gateway.yaml").read_text()
    copy = tmp_path / "gateway.yaml"
    copy.write_text(re.sub(r"/run/secrets/\w+", str(secret), text))

    loaded = load_config(copy, env={})

    services = compose()["services"]
    hosts = {url for each in loaded.config.upstreams.values() for url in each.url}
    assert hosts == {f"http://{name}:3000" for name in ("app", "api")}
    assert {"app", "api", "valkey"} <= set(services)


def test_every_image_is_pinned_by_its_digest() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    bases = [
        base
        for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE)
        if base not in stages
    ]
    pulled = [
        service["image"]
        for service in compose()["services"].values()
        if "build" not in service
    ]

    assert len(bases) == 2
    assert len(set(bases)) == 1, "both stages need the same Python"
    assert pulled
    for image in bases + pulled:
        assert re.fullmatch(r"[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}", image), image
