"""Sign-in with a provider that turns hostile, through real sockets and a real Redis."""

import asyncio
import base64
import hmac
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.oidc.attempt import SLOTS
from tests.oidc.hostile import (
    EC_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    SECRET,
    HostileProvider,
    at_hash,
    hangs,
    hostile_provider,
    provider_config,
    public_jwk,
    says,
    signed,
    unsigned,
)
from tests.oidc.walking import CALLBACK, Browser, is_page, signing_config
from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    ask,
    running_gateway,
)


async def reasons(gateway: Gateway) -> list[str]:
    """The reasons of the requests so far, as the access lines have them."""
    lines = await gateway.logged()
    return [
        line["gateway.reason"]
        for line in lines
        if line.get("event.dataset") == "gateway.access"
    ]


async def refused_as(gateway: Gateway, browser: Browser, reason: str) -> None:
    """No session, the attempt is over, the reason is logged and audited, nothing crashed."""
    assert browser.session is None
    assert browser.attempts == []
    lines = await gateway.logged()
    access = [one for one in lines if one.get("event.dataset") == "gateway.access"]
    assert access[-1]["gateway.reason"] == reason
    audits = [one for one in lines if one.get("event.dataset") == "gateway.audit"]
    assert audits[-1]["event.action"] == "authn_login_fail"
    assert audits[-1]["gateway.reason"] == reason
    assert not [one for one in lines if one.get("message") == "unexpected error"]


# --- an honest sign-in


async def test_a_visitor_signs_in_and_returns_to_the_page_asked_for(
    gateway: Gateway,
    provider: HostileProvider,
    browser: Browser,
    upstream: RecordingUpstream,
) -> None:
    challenged = await browser.get("/dashboard/a?b=c&d=%2F")
    page = challenged.present("Location")
    reply = await browser.sign_in(provider, page)

    assert reply.status == 302
    assert reply.present("Location") == "/dashboard/a?b=c&d=%2F"
    whoami = await browser.whoami()
    assert whoami is not None
    assert whoami["identity"]["id"] == "s-1"
    assert whoami["identity"]["traits"] == {"email": "ada@example.com", "name": "Ada"}
    assert browser.attempts == []
    await browser.get("/dashboard/a?b=c")
    assert upstream.last.one("X-Auth-User-Id") == "s-1"
    assert upstream.last.one("Cookie") is None
    assert provider.calls == ["discovery", "token", "jwks"]


async def test_the_request_has_state_nonce_and_s256_and_the_secret_goes_by_basic(
    browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)

    requested, form = provider.requested, provider.forms[0]
    assert requested["response_type"] == "code"
    assert requested["code_challenge_method"] == "S256"
    assert (
        requested["redirect_uri"] == f"http://gw.test{CALLBACK}" == form["redirect_uri"]
    )
    assert requested["scope"] == "openid profile email"
    assert len({requested["state"], requested["nonce"], form["code_verifier"]}) == 3
    assert "client_secret" not in form
    assert provider.headers[1]["Authorization"].startswith("Basic ")
    assert SECRET not in str(requested)


async def test_a_provider_without_basic_gets_the_secret_in_the_form(
    browser: Browser, provider: HostileProvider
) -> None:
    provider.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]

    assert (await browser.sign_in(provider)).status == 302
    assert provider.forms[0]["client_secret"] == SECRET


async def test_each_sign_in_has_a_new_token_and_ends_the_session_before(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    first = browser.session
    provider.claims["sub"] = "s-2"
    await browser.get("/.gateway/sign-in/acme?another=1")
    await browser.sign_in(provider)

    assert browser.session != first
    assert (await browser.whoami() or {})["identity"]["id"] == "s-2"
    stale = Browser(gateway, {"gateway_session": first or ""})
    assert await stale.whoami() is None


async def test_a_session_counts_its_life_from_here_and_its_sign_in_from_the_provider(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    """Single sign-on of three days ago: a whole session, but no recent sign-in."""
    three_days = int(time.time()) - 3 * 86400
    provider.claims["auth_time"] = three_days

    await browser.sign_in(provider)

    key = gateway.key_of(f"gateway_session={browser.session}")
    found: Any = await gateway.own_store.load(key)
    assert found.authenticated_at == three_days
    assert await browser.whoami() is not None
    kept = dict(found.extra["provider"])
    assert kept.pop("issued_at") >= three_days + 86400
    assert kept == {
        "name": "acme",
        "issuer": provider.issuer,
        "subject": "s-1",
        "session_id": "sid-1",
    }


async def test_claims_that_the_token_lacks_come_from_userinfo(
    browser: Browser, provider: HostileProvider
) -> None:
    provider.claims |= {"email": None, "name": None}
    provider.userinfo |= {"email": "ada@home.example", "name": "Ada L", "iss": "evil"}

    await browser.sign_in(provider)

    whoami = await browser.whoami()
    assert whoami is not None
    assert whoami["identity"]["traits"]["email"] == "ada@home.example"
    assert provider.headers[-1]["Authorization"] == "Bearer an-access-token"


@pytest.mark.parametrize("kid", ["one", None])
async def test_a_key_without_kid_verifies_if_it_is_the_only_one(
    browser: Browser, provider: HostileProvider, kid: str | None
) -> None:
    provider.header = {} if kid is None else {"kid": kid}

    assert (await browser.sign_in(provider)).status == 302


async def test_keys_change_without_an_error_and_a_broken_one_is_skipped(
    browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    for kid, key in (("two", OTHER_RSA_KEY), ("three", RSA_KEY)):
        bad = {"kty": "RSA", "n": "!", "e": 3, "kid": kid}
        encryption = public_jwk(EC_KEY, kid, use="enc")
        provider.keys = [bad, encryption, public_jwk(key, kid), *provider.keys]
        provider.sign = lambda header, claims, key=key, kid=kid: jwt.encode(
            claims, key, "RS256", headers=header | {"kid": kid}
        )
        browser.cookies.clear()

        assert (await browser.sign_in(provider)).status == 302
    assert provider.calls.count("jwks") == 3


# --- the ID token


def _signed(key: Any, algorithm: str, **header: Any) -> Any:
    given = {"alg": algorithm, "kid": "one"} | header
    return lambda _header, claims: signed(key, given, claims)


def _hmac(_header: Any, claims: Any) -> str:
    return jwt.encode(claims, SECRET, "HS256", headers={"kid": "one"})


def hmac_with_the_public_key(_header: Any, claims: Any) -> str:
    pem = RSA_KEY.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    unsigned_part = unsigned({"alg": "HS256", "kid": "one"}, claims)[:-1]
    mac = hmac.digest(pem, unsigned_part.encode(), "sha256")
    return f"{unsigned_part}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _twice(header: Any, claims: Any) -> str:
    """A member that is there twice: parsers take one or the other."""
    payload = json.dumps(claims)[:-1] + ', "sub": "admin"}'
    return signed(RSA_KEY, {"alg": "RS256"} | header, payload.encode())


FORGED: list[Any] = [
    pytest.param(lambda _h, c: unsigned({"alg": "none"}, c), id="alg none"),
    pytest.param(lambda _h, c: unsigned({"alg": "NONE"}, c), id="alg NONE"),
    pytest.param(lambda _h, c: unsigned({"alg": "RS256", "kid": "one"}, c), id="empty"),
    pytest.param(hmac_with_the_public_key, id="HMAC with the public key"),
    pytest.param(_hmac, id="HMAC with the client secret"),
    pytest.param(_signed(OTHER_RSA_KEY, "RS256"), id="another key under the kid"),
    pytest.param(_signed(RSA_KEY, "PS256"), id="an algorithm that discovery lacks"),
    pytest.param(_signed(EC_KEY, "ES256"), id="another type of key"),
    pytest.param(
        _signed(OTHER_RSA_KEY, "RS256", jwk=public_jwk(OTHER_RSA_KEY)),
        id="a key in the header",
    ),
    pytest.param(
        _signed(OTHER_RSA_KEY, "RS256", jku="http://127.0.0.1:1/jwks", kid="x"),
        id="the address of a key in the header",
    ),
    pytest.param(_signed(RSA_KEY, "RS256", crit=["exp"]), id="a critical parameter"),
    pytest.param(_signed(RSA_KEY, "RS256", kid="../../one"), id="an unknown kid"),
    pytest.param(_signed(RSA_KEY, "RS256", kid=1), id="a kid that is a number"),
    pytest.param(_signed(RSA_KEY, "RS256", typ="logout+jwt"), id="a logout token"),
    pytest.param(_signed(RSA_KEY, "RS256", typ="at+JWT"), id="an access token"),
    pytest.param(_twice, id="sub twice"),
    pytest.param(lambda _h, _c: "a.b.c", id="three letters"),
    pytest.param(lambda _h, _c: "a" * 200_000, id="200 kB"),
    pytest.param(lambda _h, _c: "....", id="dots"),
]


@pytest.mark.parametrize("sign", FORGED)
async def test_a_forged_id_token_is_no_sign_in(
    gateway: Gateway, browser: Browser, provider: HostileProvider, sign: Any
) -> None:
    provider.sign = sign

    reply = await browser.sign_in(provider)

    assert is_page(reply, 502)
    await refused_as(gateway, browser, "id_token_invalid")


NOW = time.time()
WRONG: list[Any] = [
    ({"iss": "https://evil.example"}, "another issuer"),
    ({"iss": None}, "no issuer"),
    ({"aud": "someone-else"}, "another audience"),
    ({"aud": None}, "no audience"),
    ({"aud": ["someone-else"]}, "another audience, in a list"),
    ({"aud": ["gateway", "other"]}, "two audiences without azp"),
    ({"aud": {"gateway": 1}}, "an audience that is an object"),
    ({"azp": "someone-else"}, "another authorized party"),
    ({"exp": int(NOW) - 61}, "expired"),
    ({"exp": None}, "no expiry"),
    ({"exp": str(int(NOW) + 600)}, "an expiry that is a text"),
    ({"exp": True}, "an expiry that is a boolean"),
    ({"iat": None}, "no time of issue"),
    ({"iat": int(NOW) + 600}, "issued in the future"),
    ({"nbf": int(NOW) + 600}, "not valid yet"),
    ({"nonce": None}, "no nonce"),
    ({"nonce": "another"}, "another nonce"),
    ({"nonce": ["x"]}, "a nonce that is a list"),
    ({"sub": None}, "no subject"),
    ({"sub": ""}, "an empty subject"),
    ({"sub": 7}, "a subject that is a number"),
    ({"sub": "a" * 256}, "a subject of 256 characters"),
    ({"sub": "ada\n"}, "a line break in the subject"),
    ({"sub": "\N{CYRILLIC SMALL LETTER A}da"}, "a look-alike in the subject"),
    ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "the hash of another access token"),
    ({"at_hash": 1}, "a hash that is a number"),
    ({"auth_time": "now"}, "a time of sign-in that is a text"),
    ({"auth_time": int(NOW) + 9999}, "a sign-in in the future"),
]


@pytest.mark.parametrize(
    "claims", [c for c, _ in WRONG], ids=[name for _, name in WRONG]
)
async def test_an_id_token_with_a_wrong_claim_is_no_sign_in(
    gateway: Gateway, browser: Browser, provider: HostileProvider, claims: Any
) -> None:
    provider.claims = claims

    reply = await browser.sign_in(provider)

    assert is_page(reply, 502)
    await refused_as(gateway, browser, "id_token_invalid")


RIGHT: list[Any] = [
    ({"aud": ["gateway"]}, "a list of one audience"),
    ({"aud": ["gateway", "other"], "azp": "gateway"}, "two audiences with azp"),
    ({"exp": int(NOW) + 300.5}, "a fraction"),
    ({"iat": int(NOW) + 30}, "a clock that is 30 s ahead"),
    ({"at_hash": at_hash("an-access-token")}, "the hash of the access token"),
    ({"auth_time": None}, "no time of sign-in"),
    ({"_claim_names": {"address": "src1"}}, "claims that are elsewhere"),
]


@pytest.mark.parametrize(
    "claims", [c for c, _ in RIGHT], ids=[name for _, name in RIGHT]
)
async def test_what_a_provider_may_vary_is_accepted(
    browser: Browser, provider: HostileProvider, claims: Any
) -> None:
    provider.claims = claims

    assert (await browser.sign_in(provider)).status == 302
    assert await browser.whoami() is not None


async def test_unknown_keys_cost_one_fetch_a_minute(
    browser: Browser, provider: HostileProvider
) -> None:
    provider.sign = _signed(RSA_KEY, "RS256", kid="unknown")

    for _ in range(4):
        assert (await browser.sign_in(provider)).status == 502
    assert provider.calls.count("jwks") == 2  # the first, and one more look


async def test_an_anonymous_request_does_not_use_up_the_fetch_of_a_sign_in(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    """After a key rotation, and after logout tokens of an unknown key from anybody."""
    await browser.sign_in(provider)
    place = CALLBACK.replace("callback", "backchannel-logout")
    claims = {"iss": provider.issuer}
    bad = signed(OTHER_RSA_KEY, {"alg": "RS256", "kid": "of nobody"}, claims)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"logout_token={bad}".encode()
    statuses = [
        (await ask(gateway.port, "POST", place, form, body)).status for _ in range(5)
    ]
    provider.keys = [public_jwk(OTHER_RSA_KEY, "two")]
    provider.sign = lambda header, claims: jwt.encode(
        claims, OTHER_RSA_KEY, "RS256", headers=header | {"kid": "two"}
    )

    assert (await Browser(gateway).sign_in(provider)).status == 302
    assert statuses == [400, 503, 503, 503, 503]
    assert provider.calls.count("jwks") == 3


# --- the answer, and the attempt that it belongs to


async def test_an_answer_without_an_attempt_of_this_browser_is_too_old(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    """Login CSRF: the answer to an attempt of another browser."""
    query = provider.approve(await Browser(gateway).begin())

    reply = await browser.get(f"{CALLBACK}?{query}")

    assert is_page(reply, 400)
    assert b"too old" in reply.body
    await refused_as(gateway, browser, "sign_in_expired")
    assert "token" not in provider.calls


async def test_an_answer_is_used_once(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    query = provider.approve(await browser.begin())
    assert (await browser.get(f"{CALLBACK}?{query}")).status == 302

    again = await browser.get(f"{CALLBACK}?{query}")

    assert is_page(again, 400)
    assert provider.calls.count("token") == 1
    assert await browser.whoami() is not None  # the session is not touched
    assert (await reasons(gateway))[-2] == "sign_in_expired"


@pytest.mark.parametrize(
    ("more", "status", "reason"),
    [
        ({"iss": "https://evil.example"}, 400, "issuer_mismatch"),
        ({"iss": "-"}, 400, "issuer_mismatch"),
        ({"code": "-", "error": "access_denied", "iss": "https://evil.example"}, 400, "issuer_mismatch"),
        ({"code": "-", "error": "access_denied"}, 403, "sign_in_declined"),
        ({"code": "-", "error": "login_required"}, 403, "sign_in_declined"),
        ({"code": "-", "error": "server_error"}, 503, "provider_unavailable"),
        ({"code": "-", "error": "invalid_scope"}, 502, "provider_refused"),
        ({"code": "-", "error": "<script>alert(1)</script>"}, 502, "provider_refused"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_an_error_or_of_another_provider(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    more: dict[str, str],
    status: int,
    reason: str,
) -> None:
    more = {"error_description": "the user said <b>no</b>"} | more
    reply = await browser.sign_in(provider, **more)

    assert is_page(reply, status)
    assert b"<b>no" not in reply.body
    assert b"script" not in reply.body
    assert "token" not in provider.calls
    await refused_as(gateway, browser, reason)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=a",
        "state=a",
        "code=a&state=b&state=c",
        "code=a&code=b&state=c",
        "code=a&state=b&error=c",
        "code=&state=b",
        f"code={'a' * 5000}&state=b",
        "%ff=%fe&state=%ff&code=1",
        "&".join(f"a{n}=1" for n in range(40)),
    ],
)
async def test_a_malformed_answer_is_a_page(
    gateway: Gateway, browser: Browser, query: str
) -> None:
    reply = await browser.get(f"{CALLBACK}?{query}")

    assert is_page(reply, 502) or is_page(reply, 400)
    assert browser.session is None
    assert (await reasons(gateway))[-1] in {"provider_bad_answer", "sign_in_expired"}


async def test_two_tabs_sign_in_at_once(
    browser: Browser, provider: HostileProvider
) -> None:
    first = await browser.begin("/.gateway/sign-in/acme?return_to=/dashboard/1")
    second = await browser.begin("/.gateway/sign-in/acme?return_to=/dashboard/2")
    assert len(browser.attempts) == 2

    for location, page in ((second, "/dashboard/2"), (first, "/dashboard/1")):
        reply = await browser.get(f"{CALLBACK}?{provider.approve(location)}")
        assert reply.present("Location") == page


async def test_attempts_do_not_pile_up(gateway: Gateway, browser: Browser) -> None:
    for number in range(3 * SLOTS):
        await browser.begin(f"/.gateway/sign-in/acme?return_to=/{number}{'a' * 800}")

        kept = [browser.cookies[name] for name in browser.attempts]
        assert len(kept) <= SLOTS
        assert sum(map(len, kept)) <= 4096


@pytest.mark.parametrize(
    "headers",
    [
        PROGRAM,
        {"Accept": "text/html", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"},
    ],
)
@pytest.mark.parametrize("path", ["/.gateway/sign-in", "/.gateway/sign-in/acme"])
async def test_a_background_call_begins_nothing(
    browser: Browser, headers: dict[str, str], path: str
) -> None:
    reply = await browser.get(path, headers)

    assert reply.status == 401
    assert not reply.all("Set-Cookie")
    assert not reply.all("Location")


async def test_a_head_request_begins_nothing(browser: Browser) -> None:
    for path in ("/.gateway/sign-in", "/.gateway/sign-in/acme"):
        reply = await browser.get(path, method="HEAD")
        assert not reply.all("Set-Cookie")
        assert not reply.all("Location")


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/%5cevil",
        "javascript:1",
    ],
)
async def test_no_sign_in_leads_elsewhere(
    browser: Browser, provider: HostileProvider, return_to: str
) -> None:
    page = f"/.gateway/sign-in/acme?return_to={quote(return_to, safe='')}"
    reply = await browser.sign_in(provider, page)

    assert reply.present("Location") == "/dashboard"


@pytest.mark.parametrize(
    ("member", "text"),
    [(2, b"1"), (4, b"https://evil.example/")],
    ids=["time", "place"],
)
async def test_an_attempt_that_the_browser_changed_is_none(
    browser: Browser, provider: HostileProvider, member: int, text: bytes
) -> None:
    location = await browser.begin()
    (name,) = browser.attempts
    parts = browser.cookies[name].split(".")
    if member == 2:
        parts[2] = str(int(parts[2]) + 30)
    else:
        parts[4] = base64.urlsafe_b64encode(text).decode().rstrip("=")
    browser.cookies[name] = ".".join(parts)

    reply = await browser.get(f"{CALLBACK}?{provider.approve(location)}")

    assert is_page(reply, 400)
    assert browser.session is None


async def test_the_return_address_of_an_attempt_is_validated_again(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    """The configuration may have changed meanwhile."""
    location = await browser.begin()
    attempts = gateway.app.runtime.attempts
    (name,) = browser.attempts
    (held,) = attempts.read([f"{name}={browser.cookies[name]}".encode()]).values()
    assert held is not None
    moved = replace(held, return_to="https://evil.example/")
    (cookie,) = attempts.begin(moved, {}, int(name[-1]))
    browser.cookies[name] = cookie.partition(";")[0].partition("=")[2]

    reply = await browser.get(f"{CALLBACK}?{provider.approve(location)}")

    assert reply.present("Location") == "/dashboard"


@pytest.mark.parametrize("value", ["", "x", "a.b.c.d.e", "a" * 5000, "....acme"])
async def test_any_attempt_cookie_is_a_page(
    browser: Browser, provider: HostileProvider, value: str
) -> None:
    location = await browser.begin()
    browser.cookies = {f"gateway_attempt_{n}": value for n in range(3)}
    browser.cookies["gateway_session_attempt_0"] = value

    reply = await browser.get(f"{CALLBACK}?{provider.approve(location)}")

    assert is_page(reply, 400)


async def test_an_attempt_cookie_reaches_no_upstream_and_none_can_set_one(
    browser: Browser, upstream: RecordingUpstream
) -> None:
    async def plants(_seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
            b"Set-Cookie: gateway_session_attempt_0=planted; Path=/\r\n\r\n"
        )
        await writer.drain()

    await browser.begin()
    upstream.answer = plants
    reply = await browser.get("/static/a")

    assert upstream.last.one("Cookie") is None
    assert not reply.all("Set-Cookie")


async def test_a_cookie_that_is_there_twice_is_no_attempt(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    location = await browser.begin()
    (name,) = browser.attempts
    pair = f"{name}={browser.cookies[name]}"
    headers = BROWSER | {"Cookie": f"{pair}; {pair}"}

    reply = await ask(
        gateway.port, "GET", f"{CALLBACK}?{provider.approve(location)}", headers
    )

    assert is_page(reply, 400)


async def test_a_browser_that_drops_the_session_cookie_is_not_sent_in_circles(
    browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    del browser.cookies["gateway_session"]

    reply = await browser.get("/.gateway/sign-in?return_to=/dashboard")

    assert reply.status == 200
    assert not reply.all("Location")
    assert b"did not keep it" in reply.body
    assert b"Continue with acme" in reply.body


async def test_a_signed_in_user_is_sent_on(
    browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)

    reply = await browser.get("/.gateway/sign-in?return_to=/dashboard/7")

    assert reply.present("Location") == "/dashboard/7"
    assert browser.attempts == []


# --- what the provider returns


BIG = "x" * 600_000
BROKEN: list[Any] = [
    ("token", says("{}", 400), 502, "provider_refused"),
    ("token", says('{"error":"invalid_client"}', 401), 502, "provider_refused"),
    ("token", says("<html>", 400), 502, "provider_refused"),
    ("token", says("[]", 400), 502, "provider_refused"),
    ("token", says("no", 500), 503, "provider_unavailable"),
    ("token", says("no", 429), 503, "provider_unavailable"),
    ("token", says("{}", 200), 502, "provider_bad_answer"),
    ("token", says("[]", 200), 502, "provider_bad_answer"),
    ("token", says("", 204), 502, "provider_bad_answer"),
    ("token", says("{}", 302, Location="https://evil.example"), 502, "provider_bad_answer"),
    ("token", says('{"id_token":1,"access_token":"a","token_type":"Bearer"}'), 502, "provider_bad_answer"),
    ("token", says('{"id_token":"a","access_token":"a","token_type":"mac"}'), 502, "provider_bad_answer"),
    ("token", says(BIG), 502, "provider_bad_answer"),
    ("token", says("[" * 100_000), 502, "provider_bad_answer"),
    ("jwks", says("{}"), 502, "provider_bad_answer"),
    ("jwks", says('{"keys":{}}'), 502, "provider_bad_answer"),
    ("jwks", says('{"keys":[]}'), 502, "id_token_invalid"),
    ("jwks", says('{"keys":[1,null,{},{"kty":[]}]}'), 502, "id_token_invalid"),
    ("jwks", says('{"keys":[' + ",".join(["{}"] * 101) + "]}"), 502, "provider_bad_answer"),
    ("jwks", says(BIG), 502, "provider_bad_answer"),
    ("jwks", says("no", 404), 502, "provider_bad_answer"),
    ("jwks", says("", 302, Location="http://127.0.0.1:1/jwks"), 502, "provider_bad_answer"),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "answer", "status", "reason"), BROKEN)
async def test_a_broken_answer_is_a_page(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    endpoint: str,
    answer: Any,
    status: int,
    reason: str,
) -> None:
    provider.answers[endpoint] = answer

    reply = await browser.sign_in(provider)

    assert is_page(reply, status)
    await refused_as(gateway, browser, reason)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (says('{"sub": "s-2", "email": "evil@example.com"}'), 502),
        (says('{"email": "evil@example.com"}'), 502),
        (says('{"sub": ["s-1"]}'), 502),
        (says('"s-1"'), 502),
        (says("no", 500), 503),
        (says(BIG), 502),
        # What cannot be read is absent: the claims are only traits here.
        (says("ey.signed.one", Content_Type="application/jwt"), 302),
        (says("no", 403), 302),
    ],
)
async def test_userinfo_of_another_subject_is_no_sign_in(
    browser: Browser, provider: HostileProvider, answer: Any, status: int
) -> None:
    provider.claims |= {"email": None}
    provider.answers["userinfo"] = answer

    reply = await browser.sign_in(provider)

    assert reply.status == status
    assert (browser.session is not None) is (status == 302)


async def test_userinfo_has_nothing_of_the_sign_in(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    provider.claims |= {"email": None, "auth_time": None, "sid": None}
    provider.userinfo |= {"email": "ada@example.com", "auth_time": int(time.time())}
    provider.userinfo |= {"acr": "urn:example:mfa", "sid": "evil", "amr": ["mfa"]}

    await browser.sign_in(provider)

    key = gateway.key_of(f"gateway_session={browser.session}")
    found: Any = await gateway.own_store.load(key)
    assert found.authenticated_at == 0.0
    assert "session_id" not in found.extra["provider"]
    assert [each.method for each in found.methods] == ["oidc"]


DISCOVERY: list[Any] = [
    ({"issuer": "https://evil.example"}, "another issuer"),
    ({"issuer": "SLASH"}, "a slash more"),
    ({"issuer": None}, "no issuer"),
    ({"token_endpoint": "http://evil.example/token"}, "http"),
    ({"token_endpoint": "https://user:pw@evil.example/"}, "a user in the address"),
    ({"jwks_uri": "file:///etc/passwd"}, "a file"),
    ({"jwks_uri": "data:application/json,{}"}, "data"),
    ({"jwks_uri": 7}, "a number"),
    ({"jwks_uri": None}, "no keys"),
    ({"authorization_endpoint": "javascript:alert(1)"}, "a script"),
    ({"authorization_endpoint": "https://id.example/\r\nSet-Cookie: a=b"}, "two lines"),
    ({"id_token_signing_alg_values_supported": ["none", "HS256"]}, "no safe algorithm"),
    ({"id_token_signing_alg_values_supported": "RS256"}, "a text for a list"),
    ({"code_challenge_methods_supported": ["plain"]}, "plain PKCE only"),
]


@pytest.mark.parametrize(
    "document", [one for one, _ in DISCOVERY], ids=[name for _, name in DISCOVERY]
)
async def test_a_discovery_document_that_cannot_be_trusted_begins_nothing(
    gateway: Gateway, browser: Browser, provider: HostileProvider, document: Any
) -> None:
    if document.get("issuer") == "SLASH":
        document = {"issuer": f"{provider.issuer}/"}
    provider.document = document

    reply = await browser.get("/.gateway/sign-in/acme")

    assert is_page(reply, 502)
    assert not reply.all("Set-Cookie")
    await refused_as(gateway, browser, "provider_bad_answer")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (says("<html>"), 502),
        (says("[]"), 502),
        (says("no", 404), 502),
        (says("", 302, Location="/elsewhere"), 502),
        (says(BIG), 502),
        (says(b"\xff\xfe"), 502),
        (says("no", 503), 503),
    ],
)
async def test_a_broken_discovery_is_a_page(
    browser: Browser, provider: HostileProvider, answer: Any, status: int
) -> None:
    provider.answers["discovery"] = answer

    assert is_page(await browser.get("/.gateway/sign-in"), status)


# --- a provider that is down or slow


async def test_a_provider_that_is_down_or_hangs_breaks_no_session(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    async with hostile_provider() as provider:
        config = signing_config(
            upstream.port, acme=provider_config(provider.issuer, timeout="300ms")
        )
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            browser, other = Browser(gateway), Browser(gateway)
            await browser.sign_in(provider)
            location = await other.begin()
            release = asyncio.Event()
            provider.answers["token"] = hangs(release)

            reply = await other.get(f"{CALLBACK}?{provider.approve(location)}")

            assert is_page(reply, 503)
            assert b"answering" in reply.body
            assert (await browser.get("/dashboard")).status == 200
            release.set()
    async with running_gateway(config, tmp_path, redis.url) as again:
        fresh = Browser(again)
        reply = await fresh.get("/.gateway/sign-in")

        assert is_page(reply, 503)
        assert reply.present("Retry-After")
        signed_in = Browser(again, browser.cookies)
        assert (await signed_in.get("/dashboard")).status == 200


async def test_an_endless_answer_ends(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    async def drips(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    provider.answers["discovery"] = drips
    config = signing_config(
        upstream.port, acme=provider_config(provider.issuer, timeout="200ms")
    )
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        assert is_page(await Browser(gateway).get("/.gateway/sign-in"), 503)


async def test_many_visitors_of_a_silent_provider_share_one_call(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    release = asyncio.Event()
    provider.answers["discovery"] = hangs(release)
    config = signing_config(
        upstream.port, acme=provider_config(provider.issuer, timeout="300ms")
    )
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        replies = await asyncio.gather(
            *(Browser(gateway).get("/.gateway/sign-in") for _ in range(20))
        )
        assert {reply.status for reply in replies} == {503}
        assert len(provider.calls) == 1
    release.set()


async def test_failed_sign_ins_of_an_address_are_limited(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    config["server"]["guessing"] = {"failed_sign_ins": 3, "window": "1h"}
    provider.answers["token"] = says('{"error":"invalid_grant"}', 400)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        statuses = [(await browser.sign_in(provider)).status for _ in range(5)]

    assert statuses == [502, 502, 502, 429, 429]
    assert provider.calls.count("token") == 3


# --- two providers


async def test_the_answer_of_one_provider_is_none_of_the_other(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    """Mix-up: an attempt is bound to its provider, and so is the address it returns to."""
    async with hostile_provider() as evil:
        named = {"identity": {"id": "{provider}:{sub}"}}
        config = signing_config(
            upstream.port,
            acme=provider_config(provider.issuer, **named),
            evil=provider_config(evil.issuer, **named),
        )
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            browser = Browser(gateway)
            query = evil.approve(await browser.begin("/.gateway/sign-in/evil"))
            assert is_page(await browser.get(f"{CALLBACK}?{query}"), 400)

            query = evil.approve(await browser.begin("/.gateway/sign-in/acme"))
            assert is_page(await browser.get(f"{CALLBACK}?{query}"), 400)
            assert "token" not in provider.calls + evil.calls

            page = await browser.get("/.gateway/sign-in?return_to=/dashboard/3")
            assert page.status == 200
            assert b"Continue with acme" in page.body
            assert b"/.gateway/sign-in/evil?return_to=/dashboard/3" in page.body
            await browser.sign_in(provider)
            whoami = await browser.whoami()
            assert whoami is not None
            assert whoami["identity"]["id"] == "acme:s-1"


# --- who may sign in


ALLOW: list[Any] = [
    ({"email_domains": ["example.com"]}, {}, None),
    ({"email_domains": ["example.com"]}, {"email": "ada@EXAMPLE.com"}, None),
    ({"email_domains": ["example.com"]}, {"email": "ada@example.com.evil.example"}, "account_not_allowed"),
    ({"email_domains": ["example.com"]}, {"email": "ada@sub.example.com"}, "account_not_allowed"),
    ({"email_domains": ["example.com"]}, {"email": "ada@evil.example@example.com"}, "account_not_allowed"),
    ({"email_domains": ["example.com"]}, {"email": "ada@evil.example\N{FULLWIDTH COMMERCIAL AT}example.com"}, "account_not_allowed"),
    ({"email_domains": ["example.com"]}, {"email": "@example.com"}, "account_not_allowed"),
    ({"email_domains": ["example.com"]}, {"email": ["ada@example.com"]}, "email_unverified"),
    ({"email_domains": ["example.com"]}, {"email_verified": None}, "email_unverified"),
    ({"email_domains": ["example.com"]}, {"email_verified": "true"}, "email_unverified"),
    ({"email_domains": ["example.com"]}, {"email_verified": 1}, "email_unverified"),
    ({"email_domains": ["example.com"], "verified_email": False}, {"email_verified": False}, None),
    ({"verified_email": True}, {"email_verified": "yes"}, "email_unverified"),
    ({"roles": ["staff"]}, {"groups": ["staff", "x"]}, None),
    ({"roles": ["staff"]}, {"groups": "staff"}, None),
    ({"roles": ["staff"]}, {"groups": ["staffing"]}, "account_not_allowed"),
    ({"roles": ["staff"]}, {}, "account_not_allowed"),
    ({"roles": ["staff"]}, {"groups": {"staff": 1}}, "claim_missing"),
    ({"roles": ["staff"]}, {"_claim_names": {"groups": "src1"}}, "claim_missing"),
    ({"claims": {"hd": ["example.com"]}}, {"hd": "example.com"}, None),
    ({"claims": {"hd": ["example.com"]}}, {"hd": "example.co"}, "account_not_allowed"),
    ({"claims": {"hd": ["example.com"]}}, {}, "account_not_allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("allow", "claims", "reason"), ALLOW)
async def test_who_may_sign_in(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
    allow: Any,
    claims: Any,
    reason: str | None,
) -> None:
    provider.claims = claims
    settings = provider_config(
        provider.issuer, allow=allow, identity={"roles": "{groups}"}, title="Acme"
    )
    config = signing_config(upstream.port, acme=settings)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        reply = await browser.sign_in(provider)

        if reason is None:
            assert reply.status == 302
            return
        assert is_page(reply, 403)
        assert b"You may not sign in here" in reply.body
        assert b"Use another account" in reply.body
        assert b"another=1" in reply.body
        await refused_as(gateway, browser, reason)


async def test_an_account_is_shown_as_text(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    provider.claims = {"email": "<img src=x onerror=alert(1)>@evil.example"}
    allow = {"email_domains": ["example.com"]}
    config = signing_config(
        upstream.port, acme=provider_config(provider.issuer, allow=allow)
    )
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await Browser(gateway).sign_in(provider)

    assert b"&lt;img" in reply.body
    assert b"<img" not in reply.body


# --- step-up


async def test_a_step_up_asks_for_a_sign_in_and_checks_that_there_was_one(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    config["routes"].append(
        {
            "match": "/money/**",
            "rule": "protected",
            "require": {"authenticated_within": "5m"},
            "upstream": "web",
        }
    )
    provider.claims["auth_time"] = int(time.time()) - 900
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        await browser.sign_in(provider)
        page = (await browser.get("/money/send")).present("Location")
        assert "reason=step_up" in page

        # The provider ignores what was asked: one page, no circle, the session stays.
        location = await browser.begin(page)
        assert "prompt=login" in location
        assert "max_age=0" in location
        reply = await browser.get(f"{CALLBACK}?{provider.approve(location)}")
        assert is_page(reply, 403)
        assert b"did not confirm" in reply.body
        assert await browser.whoami() is not None

        provider.claims["auth_time"] = None
        reply = await browser.sign_in(provider, page)
        assert is_page(reply, 403)

        provider.claims["auth_time"] = int(time.time())
        reply = await browser.sign_in(provider, page)
        assert reply.present("Location") == "/money/send"
        assert (await browser.get("/money/send")).status == 200


async def test_a_second_factor_is_an_acr_of_the_configuration(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    settings = provider_config(provider.issuer, aal={"aal2": "urn:example:mfa"})
    config = signing_config(upstream.port, acme=settings)
    config["routes"].append(
        {
            "match": "/keys/**",
            "rule": "protected",
            "require": {"aal": "aal2"},
            "upstream": "web",
        }
    )
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        await browser.sign_in(provider)
        page = (await browser.get("/keys/1")).present("Location")
        location = await browser.begin(page)
        assert "acr_values=urn%3Aexample%3Amfa" in location

        for acr in (None, "0", "urn:example:pwd", ["urn:example:mfa"], 2):
            provider.claims["acr"] = acr
            assert is_page(await browser.sign_in(provider, page), 403)

        provider.claims |= {"acr": "urn:example:mfa", "amr": ["pwd", "otp", 7, "a\nb"]}
        reply = await browser.sign_in(provider, page)
        assert reply.present("Location") == "/keys/1"
        assert (await browser.get("/keys/1")).status == 200
        whoami = await browser.whoami()
        assert whoami is not None
        methods = [each["method"] for each in whoami["authentication_methods"]]
        assert methods == ["oidc", "pwd", "otp"]


async def test_a_strict_session_cookie_survives_the_return(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    config["sessions"] = {"cookie": {"same_site": "strict"}}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await Browser(gateway).sign_in(
            provider, "/.gateway/sign-in/acme?return_to=/dashboard?a%3Db%26c"
        )

    assert reply.status == 200
    assert b'content="0;url=/dashboard?a=b&amp;c"' in reply.body


async def test_the_log_has_no_secret(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    query = provider.approve(await browser.begin(), code="the-secret-code")
    attempt = next(browser.cookies[name] for name in browser.attempts)
    await browser.get(f"{CALLBACK}?{query}")
    provider.answers["token"] = says('{"error":"invalid_grant"}', 400)
    await browser.sign_in(provider, code="another-secret-code")

    text = str(await gateway.logged())
    for secret in (SECRET, "secret-code", attempt.split(".")[0], "an-access-token"):
        assert secret not in text
    assert provider.forms[0]["code_verifier"] not in text
    assert provider.id_token().split(".")[2] not in text


# --- several hosts


async def test_a_sign_in_on_another_host_is_made_on_the_public_one(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    """The provider returns to `public_url`, so the attempt has to be there."""
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    config["routes"].append(
        {
            "match": {"path": "/**", "host": "wiki.gw.test"},
            "rule": "protected",
            "upstream": "web",
        }
    )
    for domain in (None, "gw.test"):
        config["sessions"] = {"cookie": {"domain": domain}}
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            port, wiki = gateway.port, "wiki.gw.test"
            reply = await ask(port, "GET", "/page", BROWSER, host=wiki)
            page = reply.present("Location")
            reply = await ask(port, "GET", page, BROWSER, host=wiki)
            location = reply.present("Location")
            assert not reply.all("Set-Cookie")
            assert location.startswith("http://gw.test/.gateway/sign-in?")

            browser = Browser(gateway)
            target = location.removeprefix("http://gw.test")
            if domain is None:
                # The session cookie would not reach the other host: no circle.
                shown = await browser.get(target)
                assert is_page(shown, 200)
                assert b"did not keep it" in shown.body
                continue
            reply = await browser.sign_in(provider, target)
            assert reply.present("Location") == "http://wiki.gw.test/page"
            assert "Domain=gw.test" in "".join(reply.all("Set-Cookie"))
            again = await browser.get(target)
            assert again.present("Location") == "http://wiki.gw.test/page"
