import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TypeAlias

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pages.pages import Pages
from gateway.pages.reply import Reply
from gateway.reasons import ROWS, Reason

ID = "0123456789abcdef0123456789abcdef"
LOGIN = "/auth/login?return_to=%2Fdashboard&reason=no_session"
PAGES = Pages(realm="app.example.com")
CASES = [(row.status, reason) for reason, row in ROWS.items()]
Attributes: TypeAlias = list[tuple[str, str | None]]
VOID = {"meta", "link", "br", "hr", "img", "input", "circle", "path"}


class Outline(HTMLParser):
    """Collects elements and complains about what is not closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.style = ""

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text.append(data)

    def tags(self) -> list[str]:
        return [tag for tag, _ in self.seen]

    def values(self, tag: str, attribute: str) -> list[str | None]:
        return [attrs.get(attribute) for name, attrs in self.seen if name == tag]


def outline(body: bytes) -> Outline:
    parsed = Outline()
    parsed.feed(body.decode("utf-8"))
    parsed.close()
    assert parsed.open == []
    return parsed


def headers(reply: Reply) -> dict[str, str]:
    named = {name.lower(): value for name, value in reply.headers}
    assert len(named) == len(reply.headers), "a header is sent twice"
    return named


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}",
    "{% include '/etc/passwd' %}",
    "</style><script>alert(1)</script>",
    "javascript:alert(1)",
    "\ue000id\ue001 \ue000login\ue001",
    "\x00\x1b[31m",
    "\udc80 lone surrogate",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_a_detail_is_only_text(text: str) -> None:
    reply = PAGES.problem(400, Reason.BAD_TARGET, html=True, request_id=ID, detail=text)

    assert not {"script", "img"} & set(outline(reply.body).tags())
    assert b"49" not in reply.body.split(b"<h1>")[1].split(b"</main>")[0]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_as_request_id_is_only_text(text: str) -> None:
    reply = PAGES.problem(403, Reason.NOT_ADMIN, html=True, request_id=text)

    assert not {"script", "img"} & set(outline(reply.body).tags())


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "//evil.example/login",
        "/\\evil.example/login",
        "\\\\evil.example",
        "/login\r\nSet-Cookie: a=b",
        "/lögin",
        " /login",
        "",
    ],
)
@pytest.mark.parametrize("html", [True, False])
def test_a_login_url_that_is_no_plain_link_is_left_out(url: str, html: bool) -> None:
    reply = PAGES.problem(
        401, Reason.NO_SESSION, html=html, request_id=ID, login_url=url
    )

    if html:
        assert outline(reply.body).values("a", "href") == ["/"]
    else:
        assert "login_url" not in orjson.loads(reply.body)


def test_a_login_url_with_quotes_stays_inside_its_attribute() -> None:
    url = "/auth/login?x=\"><script>alert(1)</script>&y='z'".replace(" ", "")
    reply = PAGES.problem(
        401, Reason.NO_SESSION, html=True, request_id=ID, login_url=url
    )

    page = outline(reply.body)
    assert page.values("a", "href") == [url]
    assert "script" not in page.tags()


@given(
    reason=st.sampled_from(list(Reason)),
    status=st.integers(min_value=400, max_value=599),
    html=st.booleans(),
    request_id=st.text(st.characters(exclude_categories=()), max_size=40),
    login=st.none() | st.text(st.characters(exclude_categories=()), max_size=40),
    detail=st.none() | st.text(st.characters(exclude_categories=()), max_size=40),
)
def test_any_input_gives_a_reply(
    reason: Reason,
    status: int,
    html: bool,
    request_id: str,
    login: str | None,
    detail: str | None,
) -> None:
    """No text from anywhere makes a page fail (law 7)."""
    reply = PAGES.problem(
        status, reason, html=html, request_id=request_id, login_url=login, detail=detail
    )

    assert reply.status == status
    if html:
        assert "script" not in outline(reply.body).tags()
    else:
        assert orjson.loads(reply.body)["status"] == status


@pytest.mark.parametrize(("status", "reason"), CASES, ids=str)
@pytest.mark.parametrize("login", [None, LOGIN], ids=["", "login"])
def test_every_page_is_whole_and_asks_for_nothing(
    status: int, reason: Reason, login: str | None
) -> None:
    reply = PAGES.problem(status, reason, html=True, request_id=ID, login_url=login)
    page = outline(reply.body)

    assert reply.body.startswith(b'<!doctype html>\n<html lang="en">')
    assert page.tags().count("h1") == 1
    assert page.tags().count("title") == 1
    assert page.tags().count("main") == 1
    assert not {"script", "link", "img", "iframe", "base", "object"} & set(page.tags())
    assert not any(
        name.startswith("on") or name in {"style", "src", "srcset"}
        for _, attributes in page.seen
        for name in attributes
    )
    assert b"http://" not in reply.body
    assert b"https://" not in reply.body
    assert "url(" not in page.style
    assert "@import" not in page.style
    assert ID.encode() in reply.body
    assert "\ue000" not in reply.body.decode()


@pytest.mark.parametrize(("status", "reason"), CASES, ids=str)
def test_both_forms_say_the_same(status: int, reason: Reason) -> None:
    """One description: the sentence of the page is the detail of the problem."""
    page = PAGES.problem(status, reason, html=True, request_id=ID)
    problem = orjson.loads(
        PAGES.problem(status, reason, html=False, request_id=ID).body
    )

    assert problem["detail"] in "".join(outline(page.body).text)
    assert problem["title"] in "".join(outline(page.body).text)
    assert problem["reason"] == reason.value


def test_the_policy_allows_exactly_the_style_of_the_page() -> None:
    reply = PAGES.problem(403, Reason.NOT_ADMIN, html=True, request_id=ID)
    style = outline(reply.body).style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert headers(reply)["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


@pytest.mark.parametrize("html", [True, False])
def test_refusals_are_not_stored_sniffed_framed_or_referred(html: bool) -> None:
    reply = PAGES.problem(403, Reason.NOT_ADMIN, html=html, request_id=ID)
    named = headers(reply)

    assert named["cache-control"] == "no-store"
    assert named["x-content-type-options"] == "nosniff"
    assert named["referrer-policy"] == "same-origin"
    assert named["x-frame-options"] == "DENY"
    assert "default-src 'none'" in named["content-security-policy"]


def test_a_problem_has_the_members_of_the_contract() -> None:
    reply = PAGES.problem(
        401, Reason.SESSION_EXPIRED, html=False, request_id=ID, login_url=LOGIN
    )

    assert headers(reply)["content-type"] == "application/problem+json"
    assert orjson.loads(reply.body) == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "reason": "session_expired",
        "detail": "Your session has expired. Sign in again.",
        "login_url": LOGIN,
        "request_id": ID,
    }


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(
    ("status", "reason", "extra", "name", "value"),
    [
        (
            401,
            Reason.NO_SESSION,
            (),
            "www-authenticate",
            'Session realm="app.example.com"',
        ),
        (401, Reason.NO_SESSION, (("WWW-authenticate", "X"),), "www-authenticate", "X"),
        (403, Reason.NOT_ADMIN, (), "www-authenticate", None),
        (503, Reason.STORE_UNAVAILABLE, (), "retry-after", "2"),
        (503, Reason.DRAINING, (("retry-after", "1"),), "retry-after", "1"),
        (502, Reason.UPSTREAM_UNREACHABLE, (), "retry-after", None),
        (405, Reason.METHOD_NOT_ALLOWED, (("Allow", "GET"),), "allow", "GET"),
    ],
)
def test_headers_that_a_status_needs(
    html: bool,
    status: int,
    reason: Reason,
    extra: tuple[tuple[str, str], ...],
    name: str,
    value: str | None,
) -> None:
    reply = PAGES.problem(status, reason, html=html, request_id=ID, extra_headers=extra)

    assert headers(reply).get(name) == value


def test_a_realm_cannot_leave_its_quotes() -> None:
    reply = Pages(realm='a"b\\c\r\nd').problem(
        401, Reason.NO_SESSION, html=False, request_id=ID
    )

    assert headers(reply)["www-authenticate"] == r'Session realm="a\"b\\cd"'


@pytest.mark.parametrize(
    ("status", "reason", "login", "links"),
    [
        (401, Reason.NO_SESSION, LOGIN, [LOGIN]),
        (401, Reason.NO_SESSION, None, ["/start"]),
        (403, Reason.NOT_ADMIN, None, ["/start"]),
        (403, Reason.NOT_ADMIN, LOGIN, ["/start", LOGIN]),
        (403, Reason.TENANT_MISSING, "/auth/onboarding", ["/auth/onboarding"]),
        (404, Reason.NO_ROUTE, None, ["/start"]),
        (503, Reason.STORE_UNAVAILABLE, None, ["", "/start"]),
        (503, Reason.STORE_UNAVAILABLE, LOGIN, [LOGIN, "/start"]),
        (504, Reason.UPSTREAM_TIMEOUT, None, ["", "/start"]),
    ],
)
def test_a_page_leads_on(
    status: int, reason: Reason, login: str | None, links: list[str]
) -> None:
    """To sign in, to try again, or home."""
    pages = Pages(home="/start")
    reply = pages.problem(status, reason, html=True, request_id=ID, login_url=login)

    assert outline(reply.body).values("a", "href") == links


def test_a_page_to_retry_does_not_ask_to_sign_in() -> None:
    reply = PAGES.problem(
        503, Reason.STORE_UNAVAILABLE, html=False, request_id=ID, login_url=LOGIN
    )

    assert "login_url" not in orjson.loads(reply.body)


def test_pages_from_memory_differ_by_request_id_alone() -> None:
    first = PAGES.problem(403, Reason.NOT_ADMIN, html=True, request_id="a" * 32)
    second = PAGES.problem(403, Reason.NOT_ADMIN, html=True, request_id="b" * 32)

    assert first.body.replace(b"a" * 32, b"b" * 32) == second.body


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/login?return_to=%2Fx", "/login?return_to=%2Fx"),
        ("/a\r\nSet-Cookie: x=y", "/a%0D%0ASet-Cookie:%20x=y"),
        ("/ä", "/%C3%A4"),
        ("/\udc80", "/?"),
    ],
)
def test_a_redirect_has_one_plain_location_and_no_body(
    location: str, sent: str
) -> None:
    reply = PAGES.redirect(303, location, (("Set-Cookie", "a=; Max-Age=0"),))

    assert reply.status == 303
    assert reply.body == b""
    assert headers(reply) == {
        "location": sent,
        "cache-control": "no-store",
        "set-cookie": "a=; Max-Age=0",
    }


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back"),
    [
        ("ink", "surface"),
        ("soft", "surface"),
        ("soft", "ground"),
        ("accent", "surface"),
        ("danger", "surface"),
        ("on-accent", "accent"),
        ("on-accent", "accent-deep"),
        ("ink", "tint"),
    ],
)
def test_contrast_is_wcag_aa(scheme: str, front: str, back: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1, in light and in dark."""
    reply = PAGES.problem(403, Reason.NOT_ADMIN, html=True, request_id=ID)
    blocks = re.findall(r":root \{(.*?)\}", outline(reply.body).style, re.DOTALL)
    block = blocks[0 if scheme == "light" else 1]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    light, dark = sorted(
        (luminance(colours[front]), luminance(colours[back])), reverse=True
    )

    assert (light + 0.05) / (dark + 0.05) >= 4.5
