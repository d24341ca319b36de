"""Signing out: here, at the provider, and what is left in the browser."""

import asyncio
import base64
import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest

from gateway.oidc.hint import open_hint
from gateway.sessions.redis.record_keys import id_token_key, record_key
from tests.oidc.hostile import HostileProvider, hostile_provider, provider_config
from tests.oidc.walking import Browser, is_page, signing_config
from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    Gateway,
    RecordingUpstream,
    Reply,
    running_gateway,
)


async def sign_out(browser: Browser, form: str = "", **headers: str) -> Reply:
    sent = BROWSER | headers
    sent["Content-Type"] = "application/x-www-form-urlencoded"
    return await browser.get("/.gateway/logout", sent, "POST", form.encode())


def continues_to(reply: Reply) -> str:
    """The address that a page goes on to by itself."""
    assert reply.status == 200
    found = re.search(r'content="0;url=([^"]*)"', reply.body.decode())
    assert found is not None
    return unescape(found[1])


async def test_a_user_who_signs_out_is_signed_out_at_the_provider_too(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end?a=b"
    await browser.sign_in(provider)

    reply = await sign_out(browser)

    assert await browser.whoami() is None
    away = urlsplit(continues_to(reply))
    assert f"{away.scheme}://{away.netloc}" == provider.issuer
    requested = dict(parse_qsl(away.query))
    assert requested.pop("id_token_hint")
    assert requested == {
        "a": "b",
        "client_id": "gateway",
        "post_logout_redirect_uri": "http://gw.test/.gateway/signed-out",
    }
    assert any(
        cookie.startswith("gateway_session=;") for cookie in reply.all("Set-Cookie")
    )
    page = await Browser(gateway).get("/.gateway/signed-out")
    assert is_page(page, 200)
    assert not page.all("Set-Cookie")


async def test_the_address_to_return_to_comes_back_as_state_and_is_validated(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end"
    await browser.sign_in(provider)

    away = continues_to(await sign_out(browser, "return_to=%2Fbye%3Fa%3Db"))

    state = dict(parse_qsl(urlsplit(away).query))["state"]
    assert "bye" not in away
    evil = base64.urlsafe_b64encode(b"https://evil.example/").decode()
    for wrong in ("", evil, "!", "%ff", "a" * 4000, f"{state}&state={state}", "a"):
        page = await browser.get(f"/.gateway/signed-out?state={wrong}")
        assert is_page(page, 200)
    # Another browser has not sent it.
    stranger = await Browser(gateway).get(f"/.gateway/signed-out?state={state}")
    assert is_page(stranger, 200)
    back = await browser.get(f"/.gateway/signed-out?state={state}")
    assert back.present("Location") == "/bye?a=b"
    assert is_page(await browser.get(f"/.gateway/signed-out?state={state}"), 200)


@pytest.mark.parametrize(
    "place", ["https://evil.example/", "//evil.example", "javascript:1", "/a/../b"]
)
async def test_an_address_that_the_browser_changed_is_validated_again(
    browser: Browser, provider: HostileProvider, place: str
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end"
    await browser.sign_in(provider)
    away = continues_to(await sign_out(browser, "return_to=%2Fbye"))
    state = dict(parse_qsl(urlsplit(away).query))["state"]
    changed = base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")
    browser.cookies["gateway_session_signing_out"] = f"{state}.{changed}"

    assert is_page(await browser.get(f"/.gateway/signed-out?state={state}"), 200)


# --- what the provider gets


async def test_the_id_token_is_sent_as_a_hint_and_only_the_browser_can_open_it(
    gateway: Gateway, browser: Browser, provider: HostileProvider, redis: Server
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end"
    await browser.sign_in(provider)
    key = gateway.key_of(f"gateway_session={browser.session}")
    kept = redis.command_line("GET", id_token_key(key))
    record = redis.command_line("GET", record_key(key))
    assert 0 < redis.command_line("PTTL", id_token_key(key)) <= 400 * 86_400_000
    assert open_hint(kept, "another token") is None

    requested = dict(parse_qsl(urlsplit(continues_to(await sign_out(browser))).query))

    hint = requested["id_token_hint"]
    assert jwt.decode(hint, options={"verify_signature": False})["sid"] == "sid-1"
    assert requested["client_id"] == "gateway"
    assert "logout_hint" not in requested
    assert hint.encode() not in kept + record
    assert hint not in str(await gateway.logged())
    assert redis.command_line("GET", id_token_key(key)) is None


async def test_an_id_token_that_is_too_long_for_an_address_is_left_out(
    gateway: Gateway, browser: Browser, provider: HostileProvider, redis: Server
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end"
    provider.claims["groups"] = ["a-group"] * 1000
    await browser.sign_in(provider)
    key = gateway.key_of(f"gateway_session={browser.session}")
    assert redis.command_line("GET", id_token_key(key)) is None

    requested = dict(parse_qsl(urlsplit(continues_to(await sign_out(browser))).query))

    assert "id_token_hint" not in requested
    assert requested["logout_hint"] == "sid-1"


@pytest.mark.parametrize(
    "kept", [b"", b"session:", b"other:AAAA", b"\xff", b"x" * 300_000]
)
async def test_bytes_that_are_no_id_token_are_left_out(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    redis: Server,
    kept: bytes,
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end"
    await browser.sign_in(provider)
    key = gateway.key_of(f"gateway_session={browser.session}")
    redis.command_line("SET", id_token_key(key), kept)

    requested = dict(parse_qsl(urlsplit(continues_to(await sign_out(browser))).query))

    assert "id_token_hint" not in requested
    assert await browser.whoami() is None


@pytest.mark.parametrize("return_to", [None, "/bye"])
async def test_a_provider_without_sign_out_leaves_the_user_where_nothing_begins(
    browser: Browser, provider: HostileProvider, return_to: str | None
) -> None:
    await browser.sign_in(provider)

    reply = await sign_out(browser, f"return_to={return_to}" if return_to else "")

    assert reply.status == 303
    assert reply.present("Location") == (return_to or "/.gateway/signed-out")


async def test_a_sign_out_does_not_wait_for_a_provider_that_is_down(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    async with hostile_provider() as provider:
        config = signing_config(upstream.port, acme=provider_config(provider.issuer))
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            browser = Browser(gateway)
            await browser.sign_in(provider)
    async with running_gateway(config, tmp_path, redis.url) as again:
        kept = Browser(again, browser.cookies)
        assert (await sign_out(kept)).present("Location") == "/.gateway/signed-out"
        assert await kept.whoami() is None


async def test_a_local_sign_out_and_that_of_a_script_stay_here(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end"
    for settings, headers in (
        ({"sign_out": "local"}, {}),
        ({}, {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}),
    ):
        config = signing_config(
            upstream.port, acme=provider_config(provider.issuer, **settings)
        )
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            browser = Browser(gateway)
            await browser.sign_in(provider)
            reply = await sign_out(browser, **headers)

            assert reply.status in {303, 204}
            assert await browser.whoami() is None


async def test_another_account_is_asked_for_by_a_parameter_otherwise(
    browser: Browser, provider: HostileProvider
) -> None:
    location = await browser.begin("/.gateway/sign-in/acme?another=1")
    assert "prompt=select_account" in location


async def test_another_account_ends_the_session_at_a_provider_that_can_do_that(
    browser: Browser, provider: HostileProvider
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end"

    location = await browser.begin("/.gateway/sign-in/acme?another=1")

    assert location.startswith(f"{provider.issuer}/end?client_id=gateway")
    assert browser.attempts == []


# --- what is left in the browser


@pytest.mark.parametrize("way", ["/.gateway/logout", "kratos", "header"])
async def test_a_sign_out_just_after_a_sign_in_leads_to_no_warning(
    browser: Browser,
    provider: HostileProvider,
    upstream: RecordingUpstream,
    way: str,
) -> None:
    await browser.sign_in(provider)
    assert "gateway_session_signed_in" in browser.cookies

    if way == "kratos":
        flow = await browser.get("/.gateway/self-service/logout/browser")
        await browser.get(flow.json()["logout_url"].removeprefix("http://gw.test"))
    elif way == "header":

        async def signs_out(_seen: object, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                b"X-Gateway-Sign-Out: this\r\n\r\n"
            )
            await writer.drain()

        upstream.answer = signs_out
        await browser.get("/dashboard")
    else:
        await browser.get(way, method="POST")

    assert browser.session is None
    assert "gateway_session_signed_in" not in browser.cookies
    page = await browser.get("/.gateway/sign-in?return_to=/dashboard")
    assert page.status == 302
    assert page.present("Location").startswith(provider.issuer)


# --- from another host


@pytest.mark.parametrize("ends", ["/end", None])
async def test_a_relative_address_means_the_host_of_the_form(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
    ends: str | None,
) -> None:
    if ends:
        provider.document["end_session_endpoint"] = provider.issuer + ends
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    config["sessions"] = {"cookie": {"domain": "gw.test"}}
    config["routes"].append(
        {
            "match": {"path": "/**", "host": "wiki.gw.test"},
            "rule": "protected",
            "upstream": "web",
        }
    )
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        await browser.sign_in(provider)
        browser.host = "wiki.gw.test"
        reply = await sign_out(browser, "return_to=%2Fbye%3Fa%3Db")

        if ends is None:
            assert reply.present("Location") == "/bye?a=b"
            return
        requested = dict(parse_qsl(urlsplit(continues_to(reply)).query))
        (noted,) = [one for one in reply.all("Set-Cookie") if "signing_out" in one]
        assert "Domain=gw.test" in noted
        browser.host = ""
        back = await browser.get(f"/.gateway/signed-out?state={requested['state']}")
        assert back.present("Location") == "http://wiki.gw.test/bye?a=b"
