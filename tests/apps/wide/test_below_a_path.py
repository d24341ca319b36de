"""Each app below a path, with the settings that its page names for that."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, Response, expect

from tests.apps.conftest import READY
from tests.apps.installed import path_of
from tests.apps.recipe import Recipe, read_recipe
from tests.apps.stand import Stand, running
from tests.servers import Server

pytestmark = pytest.mark.browser


@dataclass(frozen=True, kw_only=True)
class Below:
    """What changes on the page of an app that is served at `path`.

    `changes` are texts of its files and commands, `seen` is what the opened page shows.
    """

    path: str
    strip: bool
    changes: Mapping[str, str]
    opened: str
    seen: str


APPS = {
    "jupyterlab": Below(
        path="/jupyter",
        strip=False,
        changes={
            "c = get_config()": 'c = get_config()\nc.ServerApp.base_url = "/jupyter/"'
        },
        opened="/lab?reset",
        seen="Launcher",
    ),
    "streamlit": Below(
        path="/board",
        strip=False,
        changes={"[server]": '[server]\nbaseUrlPath = "board"'},
        opened="/",
        seen="Its square is 0",
    ),
    "gradio": Below(
        path="/demo",
        strip=True,
        changes={"share=False": 'share=False, root_path="/demo"'},
        opened="/",
        seen="Built with Gradio",
    ),
    "datasette": Below(
        path="/data",
        strip=True,
        changes={"--setting sql": "--setting base_url /data/ --setting sql"},
        opened="/payroll/rows",
        seen="a row of payroll",
    ),
    "prometheus": Below(
        path="/prometheus",
        strip=False,
        changes={":8080/": ":8080/prometheus/"},
        opened="/graph?g0.expr=vector(6*7)&g0.tab=1",
        seen="42",
    ),
    "nodered": Below(
        path="/tools/editor",
        strip=False,
        changes={'"/editor"': '"/tools/editor"'},
        opened="/",
        seen="Deploy",
    ),
    "django": Below(
        path="/shop",
        strip=False,
        changes={
            'path("': 'path("shop/',
            "ALLOWED_HOSTS": 'STATIC_URL = "shop/static/"\nALLOWED_HOSTS',
        },
        opened="/admin/",
        seen="Site administration",
    ),
}


def moved(recipe: Recipe, below: Below) -> Recipe:
    """Return the recipe with the changes, and with one route, for the path."""

    def changed(text: str) -> str:
        for old, new in below.changes.items():
            text = text.replace(old, new)
        return text

    config = yaml.safe_load(recipe.yaml)
    upstream = config["upstreams"][recipe.name]
    if below.strip:
        upstream["strip_prefix"] = below.path
    login, *rest = config["routes"]
    route = {"rule": "protected", "upstream": recipe.name, "match": f"{below.path}/**"}
    allows = [each["path_allows"] for each in rest if "path_allows" in each]
    config["routes"] = [login, route | ({"path_allows": allows[0]} if allows else {})]
    config["sign_in"]["home"] = f"{below.path}/"
    return replace(
        recipe,
        files={name: changed(text) for name, text in recipe.files.items()},
        commands=tuple(changed(text) for text in recipe.commands),
        yaml=yaml.safe_dump(config),
    )


@pytest.fixture(params=APPS, ids=str)
def stand(
    request: pytest.FixtureRequest,
    redis: Server,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> Iterator[tuple[Stand, Below]]:
    recipe, below = read_recipe(request.param), APPS[request.param]
    path = path_of(recipe, pytestconfig.cache.mkdir("apps"))
    ready = ("" if below.strip else below.path) + READY.get(recipe.name, "/")
    with running(moved(recipe, below), tmp_path, redis.url, path, ready) as found:
        yield found, below


def test_it_works_below_a_path(stand: tuple[Stand, Below], page: Page) -> None:
    """Its page opens and nothing that the page loads is missing."""
    running_app, below = stand
    lost: list[str] = []

    def note(reply: Response) -> None:
        if reply.status >= 400:
            lost.append(f"{reply.status} {reply.url}")

    page.on("response", note)
    running_app.open(page, f"{below.path}{below.opened}", "ada")

    expect(page.get_by_text(below.seen, exact=False).first).to_be_visible()
    assert lost == []
    assert f"{running_app.url}{below.path}/" in page.url
