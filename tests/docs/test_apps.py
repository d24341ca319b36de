"""The recipes of docs/apps/ are whole, and name the versions that are tested."""

import re

import pytest

from gateway.config.load import parse_config
from tests.apps.recipe import APPS, DOCUMENTED, pages, read_recipe

TESTS = APPS.parents[1] / "tests" / "apps"
INDEX = APPS.parent / "apps.md"


@pytest.mark.parametrize("name", pages())
def test_a_recipe_loads_and_sends_the_app_what_it_needs(name: str) -> None:
    recipe = read_recipe(name)

    loaded = parse_config(recipe.yaml.encode(), path=APPS / f"{name}.md", env={})

    assert [str(warning) for warning in loaded.warnings] == []
    assert set(recipe.upstreams) == {"login", name}
    assert recipe.upstreams["login"]["may_sign_in"] is True


@pytest.mark.parametrize("name", pages())
def test_a_recipe_names_its_version_and_its_symptoms(name: str) -> None:
    text = (APPS / f"{name}.md").read_text(encoding="utf-8")
    first = text.split("\n\n")[1]
    versions = re.findall(r"[=@]{1,2}(\d[\w.]*)", " ".join(read_recipe(name).packages))

    assert "| Symptom | Cause |" in text
    assert [each for each in versions if each not in first] == []
    assert re.search(r"\d\.\d", first)


def test_every_recipe_is_listed_and_run() -> None:
    text = INDEX.read_text(encoding="utf-8")
    tested = {path.stem.removeprefix("test_") for path in TESTS.rglob("test_*.py")}

    assert [name for name in pages() if f"(apps/{name}.md)" not in text] == []
    assert set(pages()) == tested & set(pages()) | DOCUMENTED
