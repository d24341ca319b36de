"""CalDAV behind the gateway: docs/apps/radicale.md."""

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.apps.installed import path_of
from tests.apps.recipe import read_recipe
from tests.apps.stand import Stand, running
from tests.servers import Server

pytestmark = pytest.mark.walk

EVENT = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//x//EN\r
BEGIN:VEVENT\r
UID:1@x\r
DTSTAMP:20260101T000000Z\r
DTSTART:20260101T100000Z\r
SUMMARY:Tea\r
END:VEVENT\r
END:VCALENDAR\r
"""
XML = {"Content-Type": "application/xml; charset=utf-8"}
PRINCIPAL = (
    b"""<propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>"""
)
QUERY = b"""<calendar-query xmlns="urn:ietf:params:xml:ns:caldav" xmlns:D="DAV:"><D:prop>
<calendar-data/></D:prop><filter><comp-filter name="VCALENDAR"/></filter></calendar-query>"""


@pytest.fixture
def radicale(run: Callable[[str], Stand]) -> Stand:
    return run("radicale")


def test_no_header_of_a_client_is_a_user(radicale: Stand) -> None:
    forged = XML | {"X-Remote-User": "ada@example.com", "Accept": "text/html"}

    plain = radicale.ask("PROPFIND", "/ada@example.com/", forged, PRINCIPAL)
    other = radicale.ask("PROPFIND", "/ada@example.com/", forged, PRINCIPAL, user="mo")
    password = {"Authorization": "Basic YWRhQGV4YW1wbGUuY29tOmFkYQ=="}
    directly = radicale.ask(
        "PROPFIND", "/ada@example.com/", password, PRINCIPAL, port=radicale.app_port
    )

    assert (plain.status, other.status, directly.status) == (401, 403, 403)


def test_a_calendar_is_made_filled_and_queried(radicale: Stand) -> None:
    cookie = {"Cookie": radicale.cookie("ada")}
    home = "/ada@example.com"
    who = radicale.ask("PROPFIND", "/", cookie | XML | {"Depth": "0"}, PRINCIPAL)
    made = radicale.ask("MKCALENDAR", f"{home}/work", cookie)
    event = f"{home}/work/50%25%20%23%31.ics"
    put = radicale.ask("PUT", event, cookie | {"Content-Type": "text/calendar"}, EVENT)

    found = radicale.ask(
        "REPORT", f"{home}/work/", cookie | XML | {"Depth": "1"}, QUERY
    )
    options = radicale.ask("OPTIONS", f"{home}/", cookie)

    assert who.status == 207
    assert "<href>/ada@example.com/</href>" in who.text.replace("%40", "@")
    assert (made.status, put.status, found.status) == (201, 201, 207)
    assert "SUMMARY:Tea" in found.text
    assert "calendar-access" in (options.one("DAV") or "")


def test_a_calendar_client_has_a_token_as_its_password(radicale: Stand) -> None:
    token = radicale.token("u_mo", "--trait", "email=mo@example.com")

    def sent(password: str) -> dict[str, str]:
        pair = base64.b64encode(f"mo:{password}".encode()).decode()
        return XML | {"Depth": "0", "Authorization": f"Basic {pair}"}

    own = radicale.ask("PROPFIND", "/mo@example.com/", sent(token), PRINCIPAL)
    other = radicale.ask("PROPFIND", "/ada@example.com/", sent(token), PRINCIPAL)
    wrong = radicale.ask("PROPFIND", "/mo@example.com/", sent("mo"), PRINCIPAL)

    assert (own.status, other.status, wrong.status) == (207, 403, 401)
    assert any(each.startswith("Basic") for each in wrong.all("WWW-Authenticate"))


def test_its_addresses_have_the_prefix(
    redis: Server, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    recipe = read_recipe("radicale")
    config = yaml.safe_load(recipe.yaml)
    config["upstreams"]["radicale"]["strip_prefix"] = "/dav"
    config["routes"][1]["match"] = "/dav/**"
    files = {
        name: text.replace("[server]", "[server]\nscript_name = /dav")
        for name, text in recipe.files.items()
    }
    below = replace(recipe, files=files, yaml=yaml.safe_dump(config))
    path = path_of(recipe, pytestconfig.cache.mkdir("apps"))
    with running(below, tmp_path, redis.url, path) as radicale:
        found = radicale.ask(
            "PROPFIND", "/dav/zoe@example.com/", XML, PRINCIPAL, user="zoe"
        )

    assert found.status == 207, radicale.log()
    assert "<href>/dav/zoe@example.com/</href>" in found.text.replace("%40", "@")
    assert "<href>/zoe" not in found.text.replace("%40", "@")
