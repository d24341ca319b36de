"""Authorization requests that are pushed (RFC 9126), with a hostile provider."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.oidc.hostile import SECRET, HostileProvider, hangs, provider_config, says
from tests.oidc.walking import Browser, signing_config
from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, running_gateway


@pytest.fixture
def pushing(provider: HostileProvider) -> HostileProvider:
    endpoint = f"{provider.issuer}/par"
    provider.document["pushed_authorization_request_endpoint"] = endpoint
    return provider


async def reason(gateway: Gateway) -> str:
    lines = await gateway.logged()
    access = [one for one in lines if one.get("event.dataset") == "gateway.access"]
    found: str = access[-1]["gateway.reason"]
    return found


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [
        pytest.param(says('{"error": "<b>no</b>"}', 400), 502, "provider_refused", id="400"),
        pytest.param(says('{"error": "x"}', 401), 502, "provider_refused", id="401"),
        pytest.param(says("", 403), 502, "provider_refused", id="403-without-a-body"),
        pytest.param(says("{}", 500), 503, "provider_unavailable", id="500"),
        pytest.param(says("{}", 429), 503, "provider_unavailable", id="429"),
        pytest.param(says("{}", 201), 502, "provider_bad_answer", id="no-request-uri"),
        pytest.param(says("[]", 201), 502, "provider_bad_answer", id="a-list"),
        pytest.param(says("<html>", 201), 502, "provider_bad_answer", id="html"),
        pytest.param(says('{"request_uri": 7}', 201), 502, "provider_bad_answer", id="number"),
        pytest.param(says('{"request_uri": ""}', 201), 502, "provider_bad_answer", id="empty"),
        pytest.param(says('{"request_uri": "a\\r\\nb"}', 201), 502, "provider_bad_answer", id="crlf"),
        pytest.param(says('{"request_uri": "ü"}', 201), 502, "provider_bad_answer", id="umlaut"),
        pytest.param(says('{"request_uri": "%s"}' % ("x" * 5000), 201), 502, "provider_bad_answer", id="long"),
        pytest.param(says('{"request_uri": "u"}', 302, Location="https://evil.example"), 502, "provider_bad_answer", id="redirect"),
    ],
)  # fmt: skip
async def test_a_bad_answer_is_a_page_and_begins_no_attempt(
    gateway: Gateway,
    browser: Browser,
    pushing: HostileProvider,
    answer: Any,
    status: int,
    word: str,
) -> None:
    pushing.answers["par"] = answer

    reply = await browser.get("/.gateway/sign-in/acme")

    assert (reply.status, await reason(gateway)) == (status, word)
    assert not reply.all("Location")
    assert browser.attempts == []
    assert b"<b>" not in reply.body


async def test_the_browser_sees_the_reference_alone(
    browser: Browser, pushing: HostileProvider
) -> None:
    location = await browser.begin()

    query = parse_qs(urlsplit(location).query)
    assert query == {"client_id": ["gateway"], "request_uri": ["urn:pushed:1"]}
    (form,) = pushing.pushed
    assert form["code_challenge_method"] == "S256"
    assert {"state", "nonce", "redirect_uri", "scope", "response_type"} <= form.keys()
    assert SECRET not in str(form)


async def test_a_user_signs_in_by_a_pushed_request(
    browser: Browser, pushing: HostileProvider
) -> None:
    assert (await browser.sign_in(pushing)).status == 302
    assert await browser.whoami() is not None


async def test_a_hostile_reference_stays_one_parameter(
    browser: Browser, pushing: HostileProvider
) -> None:
    pushing.answers["par"] = says('{"request_uri": "u&prompt=none#x y"}', 201)

    location = await browser.begin()

    assert urlsplit(location).fragment == ""
    query = parse_qs(urlsplit(location).query)
    assert query["request_uri"] == ["u&prompt=none#x y"]
    assert "prompt" not in query


@pytest.mark.parametrize(
    ("pushed", "found", "status", "calls"),
    [
        pytest.param(False, True, 302, 0, id="not-wanted"),
        pytest.param(True, True, 302, 1, id="required"),
        pytest.param(True, False, 502, 0, id="required-and-not-there"),
        pytest.param(None, False, 302, 0, id="not-there"),
    ],
)
async def test_it_is_as_configured(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    *,
    pushed: bool | None,
    found: bool,
    status: int,
    calls: int,
) -> None:
    if found:
        endpoint = f"{provider.issuer}/par"
        provider.document["pushed_authorization_request_endpoint"] = endpoint
    acme = provider_config(provider.issuer, pushed_requests=pushed)
    config = signing_config(upstream.port, acme=acme)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await Browser(gateway).get("/.gateway/sign-in/acme")

    assert reply.status == status
    assert provider.calls.count("par") == calls


async def test_a_provider_that_hangs_answers_many_visitors_in_its_time(
    pushing: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    """Those beyond the requests at one time wait for a turn, within that time."""
    released = asyncio.Event()
    pushing.answers["par"] = hangs(released)
    acme = provider_config(pushing.issuer, timeout="1s")
    config = signing_config(upstream.port, acme=acme)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        # A second for a turn and one for the call; one after the other they would take
        # eight.
        browsers = [Browser(gateway) for _ in range(128)]
        async with asyncio.timeout(5):
            replies = await asyncio.gather(
                *(browser.get("/.gateway/sign-in/acme") for browser in browsers)
            )
        released.set()

    assert {reply.status for reply in replies} == {503}
