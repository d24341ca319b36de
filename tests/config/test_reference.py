"""What editors and readers are given is made from the schema, and is current."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.reference import json_schema, markdown
from gateway.config.schema import Config

ROOT = Path(__file__).parents[2]


def test_the_schema_file_is_current() -> None:
    """If this fails: gateway schema > config/gateway.schema.json."""
    assert (ROOT / "config/gateway.schema.json").read_text() == json_schema()


def test_the_manual_page_is_current() -> None:
    """If this fails: gateway schema --markdown > docs/configuration.md."""
    assert (ROOT / "docs/configuration.md").read_text() == markdown()


def test_every_mapping_refuses_unknown_keys() -> None:
    schema = json.loads(json_schema())

    closed = [one["additionalProperties"] for one in schema["$defs"].values()]

    assert closed == [False] * len(closed)
    assert schema["additionalProperties"] is False


def test_every_key_has_a_description() -> None:
    page = markdown()

    assert page.count("| `") > 80
    assert not [line for line in page.splitlines() if line.endswith("|  |")]
    assert set(Config.model_fields) <= set(json.loads(json_schema())["properties"])


@pytest.mark.needs("check-jsonschema")
@pytest.mark.parametrize("name", ["gateway.yaml", "minimal.yaml"])
def test_editors_find_no_fault_with_the_contract(name: str) -> None:
    command = [
        str(Path(sys.executable).parent / "check-jsonschema"),
        "--schemafile",
        str(ROOT / "config/gateway.schema.json"),
        str(ROOT / "config" / name),
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.needs("check-jsonschema")
def test_editors_find_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 1\nupstreams: {a: {url: x, tokn: 1}}\nroutes: [{match: /}]\n"
    )
    command = [
        str(Path(sys.executable).parent / "check-jsonschema"),
        "--schemafile",
        str(ROOT / "config/gateway.schema.json"),
        str(tmp_path / "g.yaml"),
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "tokn" in done.stdout
