"""Front-channel logout: an address in a frame, which proves nothing."""

from typing import Any
from urllib.parse import urlencode

from tests.oidc.hostile import HostileProvider
from tests.oidc.walking import Browser
from tests.walk.harness import Gateway, Reply

PLACE = "/.gateway/sign-in/acme/frontchannel-logout"
FRAME = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "iframe",
    "Sec-Fetch-Site": "cross-site",
}


async def framed(
    browser: Browser, query: str, method: str = "GET", place: str = PLACE
) -> Reply:
    return await browser.get(f"{place}?{query}", FRAME, method)


def named(provider: HostileProvider, **changes: Any) -> str:
    return urlencode({"iss": provider.issuer, "sid": "sid-1"} | changes)


async def test_nothing_else_ends_a_session(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    whole = named(provider)
    for query, status in {
        "": 400,
        "sid=sid-1": 400,
        urlencode({"iss": provider.issuer}): 400,
        named(provider, iss="https://evil.example"): 400,
        named(provider, iss=f"{provider.issuer}/"): 400,
        f"{whole}&sid=sid-1": 400,
        f"{whole}&iss={provider.issuer}": 400,
        named(provider, sid="sid-2"): 200,
        named(provider, sid="s-1"): 200,
        named(provider, sid="%00"): 200,
    }.items():
        reply = await framed(browser, query)
        assert reply.status == status, query
        assert not reply.all("Set-Cookie")
    assert (await framed(browser, whole, "HEAD")).status == 200
    assert (await framed(browser, whole, "POST")).status == 405
    other = PLACE.replace("acme", "other")
    assert (await framed(browser, whole, place=other)).status == 404
    stranger = await framed(Browser(gateway), whole)

    # Whoever knows the `sid` gets the same page, and ends nothing without the cookie.
    assert stranger.status == 200
    assert not stranger.all("Set-Cookie")
    assert await browser.whoami() is not None


async def test_a_session_without_a_session_id_is_never_the_one(
    browser: Browser, provider: HostileProvider
) -> None:
    provider.claims["sid"] = None
    await browser.sign_in(provider)

    for sid in ("sid-1", "", "None"):
        await framed(browser, named(provider, sid=sid))

    assert await browser.whoami() is not None


async def test_a_frame_of_the_provider_ends_the_session_that_it_names(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    provider.document["end_session_endpoint"] = "https://logout.example/end"
    await browser.sign_in(provider)
    other = Browser(gateway)
    await other.sign_in(provider)

    reply = await framed(browser, named(provider))

    assert reply.status == 200
    assert browser.session is None
    assert await browser.whoami() is None
    assert await other.whoami() is not None
    assert reply.present("Cache-Control") == "no-store"
    assert not reply.all("X-Frame-Options")
    policy = reply.present("Content-Security-Policy")
    ancestors = f"frame-ancestors {provider.issuer} https://logout.example"
    assert policy == f"default-src 'none'; {ancestors}"
    lines = await gateway.logged()
    assert [x for x in lines if x.get("message") == "signed out by the provider"]
