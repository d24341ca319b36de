"""Advisories about sign-in with OpenID Connect, each against a provider of our own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest

from tests.oidc.hostile import (
    OTHER_RSA_KEY,
    RSA_KEY,
    HostileProvider,
    hostile_provider,
    provider_config,
    public_jwk,
    says,
    signed,
)
from tests.oidc.test_logout_token import logout_token, send
from tests.oidc.test_membership_walk import renewing_config, settled, stale
from tests.oidc.test_provider import hmac_with_the_public_key
from tests.oidc.walking import CALLBACK, Browser, signing_config
from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, running_gateway

Start: TypeAlias = Callable[..., Any]


@pytest.fixture
async def provider() -> AsyncIterator[HostileProvider]:
    async with hostile_provider() as running:
        yield running


@pytest.fixture
def start(upstream: RecordingUpstream, redis: Server, tmp_path: Path) -> Start:
    """Open a gateway with these providers."""

    @asynccontextmanager
    async def opened(**providers: dict[str, Any]) -> AsyncIterator[Gateway]:
        config = signing_config(upstream.port, **providers)
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            yield gateway

    return opened


def _header(key: Any = OTHER_RSA_KEY, **more: Any) -> Any:
    header = {"alg": "RS256", "kid": "one"} | more
    return lambda _header, claims: signed(key, header, claims)


def _changed(**attributes: Any) -> Callable[[HostileProvider], None]:
    def change(provider: HostileProvider) -> None:
        for name, value in attributes.items():
            setattr(provider, name, value)

    return change


# What the provider does, and what the sign-in is refused for.
TRICKS: dict[str, list[tuple[Callable[[HostileProvider], None], str]]] = {
    "O1": [
        (_changed(sign=_header(jwk=public_jwk(OTHER_RSA_KEY))), "id_token_invalid"),
        (_changed(sign=_header(jku="http://127.0.0.1:1/jwks")), "id_token_invalid"),
        (_changed(sign=_header(x5c=["MIIB"])), "id_token_invalid"),
    ],
    "O3": [(_changed(sign=lambda _h, _c: "a" * 300_000), "id_token_invalid")],
    "O4": [(_changed(sign=hmac_with_the_public_key), "id_token_invalid")],
    "O5": [(_changed(sign=_header(RSA_KEY, crit=["b64"], b64=False)), "id_token_invalid")],
    "O6": [
        (_changed(document={"jwks_uri": "file:///etc/passwd"}), "provider_bad_answer"),
        (_changed(document={"jwks_uri": "http://id.example/jwks"}), "provider_bad_answer"),
        (
            _changed(answers={"jwks": says("", 302, Location="http://127.0.0.1:1/")}),
            "provider_bad_answer",
        ),
    ],
    "O7": [
        (_changed(keys=[{"kty": "RSA"}] * 101), "provider_bad_answer"),
        (_changed(answers={"jwks": says("x" * 600_000)}), "provider_bad_answer"),
    ],
    "O13": [
        (_changed(claims={"aud": "another"}), "id_token_invalid"),
        (_changed(claims={"aud": None}), "id_token_invalid"),
    ],
    "J18": [
        (
            _changed(document={"code_challenge_methods_supported": ["plain"]}),
            "provider_bad_answer",
        )
    ],
    "J20": [(_changed(claims={"azp": "another"}), "id_token_invalid")],
}  # fmt: skip


@pytest.mark.parametrize("advisory", sorted(TRICKS))
async def test_a_trick_of_a_provider_is_no_sign_in(
    provider: HostileProvider, start: Start, advisory: str
) -> None:
    for turn, reason in TRICKS[advisory]:
        async with hostile_provider() as tricky:
            turn(tricky)
            async with start(acme=provider_config(tricky.issuer)) as gateway:
                browser = Browser(gateway)
                begun = await browser.get("/.gateway/sign-in/acme")
                if begun.status == 302:
                    query = tricky.approve(begun.present("Location"))
                    await browser.get(f"{CALLBACK}?{query}")

                assert browser.session is None
                lines = await gateway.logged()
                found = [line.get("gateway.reason") for line in lines]
                assert reason in found


_UNVERIFIED: list[Any] = [None, "false", "true", 0, 1, "yes", []]
_EMAILS: dict[str, list[dict[str, Any]]] = {
    "A5": [
        {"email": "a@evil.example@example.com"},
        {"email": "a@example.com@evil.example"},
    ],
    "O8": [
        {"email": "a@evil.example\N{FULLWIDTH COMMERCIAL AT}example.com"},
        {"email": "a\N{SMALL COMMERCIAL AT}example.com"},
        {"email": "a@ex\N{CYRILLIC SMALL LETTER A}mple.com"},
    ],
    "O12": [{"email_verified": value} for value in _UNVERIFIED],
}


@pytest.mark.parametrize("advisory", sorted(_EMAILS))
async def test_an_address_that_only_looks_right_is_not_allowed(
    provider: HostileProvider, start: Start, advisory: str
) -> None:
    allow = {"email_domains": ["example.com"]}
    async with start(acme=provider_config(provider.issuer, allow=allow)) as gateway:
        for claims in _EMAILS[advisory]:
            provider.claims = claims
            browser = Browser(gateway)
            assert (await browser.sign_in(provider)).status == 403
            assert browser.session is None


async def test_o2_state_is_bound_to_the_browser(
    provider: HostileProvider, start: Start
) -> None:
    async with start(acme=provider_config(provider.issuer)) as gateway:
        attacker, victim = Browser(gateway), Browser(gateway)
        query = provider.approve(await attacker.begin())
        await victim.begin()

        reply = await victim.get(f"{CALLBACK}?{query}")

        assert reply.status == 400
        assert victim.session is None
        assert "token" not in provider.calls


async def test_o9_an_attempt_is_bound_to_its_provider(
    provider: HostileProvider, start: Start
) -> None:
    """Mix-up: the code of one provider never goes to the token endpoint of another."""
    async with hostile_provider() as evil:
        own = {"identity": {"id": "{provider}:{sub}"}}
        async with start(
            acme=provider_config(provider.issuer, **own),
            evil=provider_config(evil.issuer, **own),
        ) as gateway:
            for begun, answered in (("acme", "evil"), ("evil", "acme")):
                browser = Browser(gateway)
                location = await browser.begin(f"/.gateway/sign-in/{begun}")
                query = provider.approve(location)
                target = f"/.gateway/sign-in/{answered}/callback?{query}"
                assert (await browser.get(target)).status == 400
    assert "token" not in provider.calls + evil.calls


async def test_o10_a_sign_in_address_cannot_carry_a_foreign_return(
    provider: HostileProvider, start: Start
) -> None:
    async with start(acme=provider_config(provider.issuer)) as gateway:
        for place in ("https://evil.example/", "//evil.example", "/%09/evil.example"):
            page = f"/.gateway/sign-in/acme?return_to={quote(place, safe='')}"
            reply = await Browser(gateway).sign_in(provider, page)
            assert reply.present("Location") == "/dashboard"


async def test_o11_no_page_shows_a_token_of_the_provider(
    provider: HostileProvider, start: Start
) -> None:
    async with start(acme=provider_config(provider.issuer)) as gateway:
        browser = Browser(gateway)
        await browser.sign_in(provider)
        pages = [
            await browser.get("/.gateway/account"),
            await browser.get("/.gateway/sessions/whoami"),
        ]
        provider.claims = {"nonce": "another"}
        pages.append(
            await browser.sign_in(provider, "/.gateway/sign-in/acme?another=1")
        )

        for page in pages:
            assert b"an-access-token" not in page.body
            assert b"eyJ" not in page.body


async def test_o14_the_same_address_at_two_providers_is_two_people(
    provider: HostileProvider, start: Start
) -> None:
    async with hostile_provider() as other:
        own = {"identity": {"id": "{provider}:{sub}"}}
        async with start(
            acme=provider_config(provider.issuer, **own),
            other=provider_config(other.issuer, **own),
        ) as gateway:
            one, two = Browser(gateway), Browser(gateway)
            await one.sign_in(provider)
            query = other.approve(await two.begin("/.gateway/sign-in/other"))
            await two.get(f"/.gateway/sign-in/other/callback?{query}")

            first, second = await one.whoami(), await two.whoami()
            assert first is not None
            assert second is not None
            assert first["identity"]["traits"] == second["identity"]["traits"]
            assert first["identity"]["id"] != second["identity"]["id"]


async def test_o15_attempts_of_a_browser_are_bounded(
    provider: HostileProvider, start: Start
) -> None:
    async with start(acme=provider_config(provider.issuer)) as gateway:
        browser = Browser(gateway)
        for number in range(40):
            await browser.begin(
                f"/.gateway/sign-in/acme?return_to=/{number}{'a' * 500}"
            )
        assert sum(len(browser.cookies[name]) for name in browser.attempts) <= 4096

        browser.cookies = {
            f"gateway_session_attempt_{n}": f"{'A' * 43}.1.none..acme"
            for n in range(200)
        }
        assert (await browser.get(f"{CALLBACK}?code=a&state=b")).status == 400


async def test_o16_a_failed_attempt_leaves_the_session_as_it_is(
    provider: HostileProvider, start: Start
) -> None:
    async with start(acme=provider_config(provider.issuer)) as gateway:
        browser = Browser(gateway)
        await browser.sign_in(provider)
        session = browser.session
        provider.claims = {"nonce": "another"}

        await browser.sign_in(provider, "/.gateway/sign-in/acme?another=1")

        assert browser.session == session
        assert await browser.whoami() is not None


async def test_j16_unknown_key_ids_cost_one_fetch_a_minute(
    provider: HostileProvider, start: Start
) -> None:
    provider.sign = _header(RSA_KEY, kid="unknown")
    async with start(acme=provider_config(provider.issuer)) as gateway:
        browsers = [Browser(gateway) for _ in range(6)]
        locations = [await browser.begin() for browser in browsers]
        for browser, location in zip(browsers, locations, strict=True):
            reply = await browser.get(f"{CALLBACK}?{provider.approve(location)}")
            assert reply.status == 502
        await asyncio.sleep(0)

    assert provider.calls.count("jwks") == 2


async def test_o17_changed_claims_reach_the_running_session(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    provider.refresh_token = "refresh-0"
    provider.claims |= {"groups": ["admin"]}
    config = renewing_config(provider, upstream.port)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        await stale(browser, provider)
        provider.claims |= {"groups": [], "nonce": None}

        await browser.get("/dashboard/a")
        await settled(gateway)

        assert (await browser.get("/admin/x")).status == 403


async def test_s16_only_a_signed_logout_token_ends_a_session(
    provider: HostileProvider, start: Start
) -> None:
    async with start(acme=provider_config(provider.issuer)) as gateway:
        browser = Browser(gateway)
        await browser.sign_in(provider)
        forged = logout_token(provider.issuer, key=OTHER_RSA_KEY)
        assert (await send(gateway, forged)).status == 400
        for target in ("?iss=x&sid=sid-1", "?logout_token=x"):
            place = f"/.gateway/sign-in/acme/backchannel-logout{target}"
            assert (await browser.get(place)).status == 405
        assert await browser.whoami() is not None

        assert (await send(gateway, logout_token(provider.issuer))).status == 200
        assert await browser.whoami() is None
