"""CalDAV behind the gateway: docs/apps/radicale.md."""

from collections.abc import Callable

import pytest

from tests.apps.stand import Stand

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
