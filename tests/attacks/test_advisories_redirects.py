"""Advisories of class R: addresses that a client names, and where people end up."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import pytest_asyncio

from tests.attacks.rig import Rig, advisory_rig, refused
from tests.http.return_addresses import SHAPES
from tests.servers import Server
from tests.walk.harness import BROWSER, PROGRAM, Reply, ask, base_config

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

ALLOWED = ["https://portal.example.com", "http://bar.foo"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    sign_in = base_config(0)["sign_in"] | {"allowed_return_urls": ALLOWED}
    folder = tmp_path_factory.mktemp("redirects")
    async with advisory_rig(redis, folder, sign_in=sign_in) as running:
        yield running


def form(**fields: str) -> bytes:
    return "&".join(f"{n}={quote(v, safe='')}" for n, v in fields.items()).encode()


async def sign_out(the_rig: Rig, cookie: str, value: str) -> Reply:
    body = form(return_to=value)
    headers = BROWSER | {"Cookie": cookie}
    return await ask(the_rig.port, "POST", "/.gateway/logout", headers, body)


async def switch_tenant(the_rig: Rig, cookie: str, value: str) -> Reply:
    body = form(tenant_id="t_blue", return_to=value)
    headers = BROWSER | {"Cookie": cookie}
    return await ask(the_rig.port, "POST", "/.gateway/tenant", headers, body)


async def plan_sign_out(the_rig: Rig, cookie: str, value: str) -> Reply:
    target = f"/.gateway/self-service/logout/browser?return_to={quote(value, safe='')}"
    return await ask(the_rig.port, "GET", target, PROGRAM | {"Cookie": cookie})


PLACES: list[Callable[[Rig, str, str], Awaitable[Reply]]] = [
    sign_out,
    switch_tenant,
    plan_sign_out,
]
ELSEWHERE = {
    "R1": ["/\\evil.test", "\\evil.test", "/\\/evil.test", "/%5cevil.test"],
    "R2": [
        "/%09/evil.test", "/ /evil.test", "/\n/evil.test", "/\v\\evil.test",
        "/%0a/evil.test", "/%20/evil.test", "/\x7f/evil.test", "\t//evil.test",
    ],
    "R4": ["http://evilbar.foo", "http://evilbar.foo/", "http://bar.foo.evil.test"],
    "R5": sorted({value for shape in SHAPES.values() for value in shape if value}),
    "R6": ["//evil.test", "//evil.test/", "///evil.test", "////evil.test/%2f.."],
    "R8": ["/\\evil.test/..", "https:\\\\evil.test", "http:/\\evil.test"],
    "R9": ["https://evil.test", "https://evil.test/login/"],
    "R10": ["/\t/evil.test", "/hTTp:evil.test", "hTTps://evil.test", "/\thTTp://evil.test"],
    "R12": ["https://evil.test/?rd=/", "HTTPS://evil.test", "https://evil.test"],
    "R16": ["https://portal.example.com.evil.test/", "http://gw.test.evil.test/"],
    "R17": ["https://evilportal.example.com", "https://evil.portal.example.com", "http://evilgw.test/"],
    "R18": ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "ftp://gw.test/"],
    "R21": [
        "https://portal.example.com@evil.test/", "http://gw.test@evil.test", "http://evil@gw.test/",
        "http://*.gw.test/", "http://gw.test%40evil.test/", "https://portal.example.com:pw@evil.test",
    ],
    "R22": ["/\\evil.test", "/\\\\evil.test"],
    "R26": [
        "http://gw.test/?x=https://evil.test", "/?x=//evil.test", "/?x=data:text/html,evil.test//",
        "https://portal.example.com/?x=https://evil.test",
    ],
}  # fmt: skip


@pytest.mark.parametrize("advisory", ELSEWHERE)
async def test_an_address_that_leads_elsewhere_is_refused_and_changes_nothing(
    the_rig: Rig, advisory: str
) -> None:
    cookie = await the_rig.gateway.sign_in()
    for place in PLACES:
        for value in ELSEWHERE[advisory]:
            reply = await place(the_rig, cookie, value)

            assert refused(reply, 400), (place, value)
            assert not reply.all("Set-Cookie"), (place, value)
            # R20: it is on no page, in no script.
            assert b"evil.test" not in reply.body, (place, value)
    still = await the_rig.get("/dashboard", {"Cookie": cookie})
    assert still.status == 200
    assert the_rig.last.one("X-Auth-Tenant-Id") == "t_acme"


async def test_r4_an_allowed_address_is_let_through(the_rig: Rig) -> None:
    for value in (
        "/",
        "/dashboard?a=b",
        "http://bar.foo/x",
        "https://portal.example.com/",
    ):
        cookie = await the_rig.gateway.sign_in()

        reply = await sign_out(the_rig, cookie, value)

        assert (reply.status, reply.one("Location")) == (303, value)


@pytest.mark.parametrize("advisory", ["R9", "R20"])
async def test_a_sign_in_page_asked_for_from_elsewhere_leads_home(
    the_rig: Rig, advisory: str
) -> None:
    cookie = await the_rig.gateway.sign_in()
    for value in ELSEWHERE["R5"]:
        for name in ("return_to", "target_link_uri", "rd", "redirect_uri"):
            target = f"/auth/login?{name}={quote(value, safe='')}"
            reply = await ask(the_rig.port, "GET", target, BROWSER | {"Cookie": cookie})

            assert (reply.status, reply.one("Location")) == (302, "/dashboard"), value
            assert b"evil.test" not in reply.body


async def test_r13_no_redirect_carries_a_credential(the_rig: Rig) -> None:
    the_rig.forget()
    cookie = await the_rig.gateway.sign_in()
    secret = cookie.partition("=")[2]
    await the_rig.get("/dashboard", {"Cookie": cookie})
    token = the_rig.last.present("X-Auth-Assertion")
    browser = BROWSER | {"Cookie": cookie}
    requested = [
        ("GET", "/auth/login", browser, b""),
        ("GET", "/dashboard/x?a=b", BROWSER | {"Cookie": f"{cookie}x"}, b""),
        ("POST", "/.gateway/tenant", browser, form(tenant_id="t_blue", return_to="/")),
        ("POST", "/.gateway/logout", browser, form(return_to="http://bar.foo/x")),
        ("GET", "/dashboard", browser, b""),
    ]

    places = []
    for method, target, headers, body in requested:
        reply = await ask(the_rig.port, method, target, headers, body)
        places.append(reply.present("Location"))

    for place in places:
        assert secret not in place
        assert token.rpartition(".")[2] not in place


async def test_r14_an_endpoint_that_acts_checks_who_asks(the_rig: Rig) -> None:
    cookie = await the_rig.gateway.sign_in()
    other = await the_rig.gateway.sign_in()
    flow = await the_rig.get("/.gateway/self-service/logout/browser", {"Cookie": other})
    stolen = parse_qs(urlsplit(flow.json()["logout_url"]).query)["token"][0]
    cross = {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}

    replies = [
        await the_rig.get("/.gateway/self-service/logout?token=x", {"Cookie": cookie}),
        await the_rig.get("/.gateway/self-service/logout?token=", {"Cookie": cookie}),
        await the_rig.get(
            f"/.gateway/self-service/logout?token={stolen}", {"Cookie": cookie}
        ),
        await the_rig.get(
            "/.gateway/logout", cross | {"Cookie": cookie}, method="POST", body=b"a=b"
        ),
        await the_rig.get(
            "/.gateway/tenant",
            cross | {"Cookie": cookie},
            method="POST",
            body=form(tenant_id="t_blue"),
        ),
    ]

    assert all(refused(reply) for reply in replies)
    for each in (cookie, other):
        assert (await the_rig.get("/dashboard", {"Cookie": each})).status == 200
    assert the_rig.last.one("X-Auth-Tenant-Id") == "t_acme"


PATHS = {
    "R24": ["//evil.test/%2f..", "//evil.test/..", "/%2f/evil.test", "/.//evil.test"],
    "R25": ["//evil.test/..", "//evil.test", "///evil.test/%2e%2e", "/\\evil.test"],
}


@pytest.mark.parametrize("advisory", PATHS)
async def test_a_path_never_becomes_a_redirect(the_rig: Rig, advisory: str) -> None:
    the_rig.forget()
    for path in PATHS[advisory]:
        for prefix in ("", "/dashboard", "/auth/login"):
            reply = await the_rig.get(f"{prefix}{path}", BROWSER)

            assert refused(reply, 400), path
            assert b"evil.test" not in reply.body
    assert the_rig.seen == []
