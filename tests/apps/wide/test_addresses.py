"""Each app by https, and below a path with the settings that its page names for that."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from tests.apps.conftest import READY
from tests.apps.installed import path_of
from tests.apps.recipe import Recipe, read_recipe
from tests.apps.stand import Stand, running
from tests.proxy.certificates import Authority
from tests.servers import PATIENCE, Server

pytestmark = pytest.mark.browser


@dataclass(frozen=True, kw_only=True)
class Below:
    """What changes on the page of an app that is served at `path`.

    `changes` are texts of its files and commands, `seen` is what the opened page shows.
    `home` is where it is without these changes.
    """

    path: str
    strip: bool
    changes: Mapping[str, str]
    opened: str
    seen: str
    home: str = ""


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
        home="/editor",
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


def encrypted(recipe: Recipe, authority: Authority) -> Recipe:
    """Return the recipe with a certificate, and with https in all addresses."""

    def changed(text: str) -> str:
        return text.replace("http://localhost:8080", "https://localhost:8080")

    config = yaml.safe_load(changed(recipe.yaml))
    certificate, key = authority.issue("server", "localhost")
    config["server"]["tls"] = {"certificate": certificate, "key": key}
    return replace(
        recipe,
        files={name: changed(text) for name, text in recipe.files.items()},
        commands=tuple(changed(text) for text in recipe.commands),
        yaml=yaml.safe_dump(config),
    )


@dataclass(frozen=True)
class Opened:
    """An app that runs, and what is seen at an address of it."""

    stand: Stand
    address: str
    seen: str


@pytest.fixture(params=["https", "path"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=APPS)
def opened(
    request: pytest.FixtureRequest,
    how: str,
    redis: Server,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> Iterator[Opened]:
    recipe, below = read_recipe(request.param), APPS[request.param]
    path = path_of(recipe, pytestconfig.cache.mkdir("apps"))
    ready, home = READY.get(recipe.name, "/"), below.home
    if how == "https":
        recipe = encrypted(recipe, Authority(tmp_path, "apps"))
    else:
        recipe, home = moved(recipe, below), below.path
        ready = ready if below.strip else below.path + ready
    with running(recipe, tmp_path, redis.url, path, ready) as stand:
        yield Opened(stand, home + below.opened, below.seen)


@pytest.fixture
def trusting(chromium: Browser) -> Iterator[Page]:
    """A page of a browser that trusts any certificate."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


def test_its_page_opens_and_nothing_is_missing(opened: Opened, trusting: Page) -> None:
    lost: list[str] = []

    def note(reply: Response) -> None:
        if reply.status >= 400:
            lost.append(f"{reply.status} {reply.url}")

    trusting.on("response", note)
    trusting.on("console", lambda stated: lost.extend(wrong(stated)))
    opened.stand.open(trusting, opened.address, "ada")

    expect(trusting.get_by_text(opened.seen, exact=False).first).to_be_visible()
    assert lost == []
    assert trusting.url.startswith(opened.stand.url)


def wrong(stated: ConsoleMessage) -> list[str]:
    """Return what a browser reports of addresses with the wrong scheme."""
    return [stated.text] if "Mixed Content" in stated.text else []
