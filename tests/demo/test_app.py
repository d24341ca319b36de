"""The sample app, asked directly: what it says to the gateway and shows of it."""

import base64
import json
import re
from typing import TypeAlias

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from gateway.demo.accounts import ACCOUNTS, check_password
from gateway.demo.app import peek, safe_return_to, sample_app, visitor_of

GRACE = {
    "X-Auth-User-Id": "u_grace",
    "X-Auth-Email": "grace@example.com",
    "X-Auth-Role": "member",
    "X-Auth-Tenant-Id": "t_globex",
    "X-Auth-Tenant-Role": "owner",
}


Client: TypeAlias = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(sample_app())


@pytest.mark.parametrize(
    "value",
    [
        "",
        "dashboard",
        "//evil.example/",
        "/\\evil.example",
        "https://evil.example/",
        "/a\r\nSet-Cookie: x=1",
        "/\x00",
        "/é",
    ],
)
def test_a_way_back_that_leaves_the_site_becomes_the_dashboard(value: str) -> None:
    assert safe_return_to(value) == "/dashboard"


@pytest.mark.parametrize("value", ["/", "/admin", "/reports/1?q=a%20b&c=d"])
def test_a_way_back_on_the_site_stays(value: str) -> None:
    assert safe_return_to(value) == value


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.b.c", "!.!.!", "e30.e30.x", "bnVsbA.bnVsbA.x", "W10.W10.x", "é.é.é"],
)
def test_what_is_no_token_is_shown_as_none(token: str) -> None:
    assert peek(token, now=0.0) is None


def test_a_token_is_taken_apart_with_the_life_that_is_left() -> None:
    token = jwt.encode({"iat": 1000, "exp": 1060, "aud": "web"}, "k" * 32)

    shown = peek(token, now=1048.0)

    assert shown is not None
    assert (shown["life"], shown["left"]) == (60, 12)
    assert json.loads(shown["claims"])["aud"] == "web"


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("", ""),
        ("nobody@example.com", "x"),
        ("ada@example.com", ""),
        ("ada@example.com", "Analytical-Engine"),
        ("ada@example.com", "é"),
    ],
)
def test_a_wrong_password_is_unauthenticated(email: str, password: str) -> None:
    assert check_password(email, password) is None


def test_a_header_is_decoded_as_the_gateway_documents() -> None:
    assert (
        visitor_of({"X-Auth-Email": "zo%C3%AB%40example.com"}).email
        == "zoë@example.com"
    )


async def test_a_wrong_password_signs_no_user_in(client: Client) -> None:
    answer = await client.post(
        "/auth/login", data={"email": "ada@example.com", "password": "guess"}
    )

    assert answer.status == 403
    assert "X-Gateway-Sign-In" not in answer.headers
    assert "Wrong e-mail address or password" in await answer.text()


async def test_a_right_password_is_reported_to_the_gateway_who_signed_in(
    client: Client,
) -> None:
    answer = await client.post(
        "/auth/login",
        data={
            "email": " Grace@Example.com ",
            "password": "first-compiler",
            "return_to": "/admin?x=1",
        },
        allow_redirects=False,
    )

    reported = answer.headers["X-Gateway-Sign-In"]
    statement = json.loads(
        base64.urlsafe_b64decode(reported + "=" * (-len(reported) % 4))
    )
    assert (answer.status, answer.headers["Location"]) == (303, "/admin?x=1")
    assert "=" not in reported
    assert statement["identity"]["id"] == "u_grace"
    assert statement["identity"]["roles"] == ["member"]
    assert statement["tenants"]["t_globex"] == {"name": "Globex", "role": "owner"}
    assert statement["active_tenant_id"] == "t_acme"
    assert statement["persistent"] is False
    assert "first-compiler" not in json.dumps(statement)


async def test_who_belongs_to_no_organization_has_no_active_one(
    client: Client,
) -> None:
    answer = await client.post(
        "/auth/login",
        data={"email": "linus@example.com", "password": "just-for-fun", "keep": "on"},
        allow_redirects=False,
    )

    reported = answer.headers["X-Gateway-Sign-In"]
    statement = json.loads(
        base64.urlsafe_b64decode(reported + "=" * (-len(reported) % 4))
    )
    assert statement["active_tenant_id"] is None
    assert statement["tenants"] == {}
    assert statement["persistent"] is True


async def test_leaving_is_reported_to_the_gateway(client: Client) -> None:
    answer = await client.post("/sign-out", allow_redirects=False)

    assert answer.headers["X-Gateway-Sign-Out"] == "this"
    assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_the_sign_in_page_shows_every_account_and_states_the_reason_one_is_there(
    client: Client,
) -> None:
    answer = await client.get(
        "/auth/login?reason=session_expired&return_to=//evil.example"
    )
    text = await answer.text()

    assert all(account.email in text for account in ACCOUNTS)
    assert "Your session has expired" in text
    assert "evil.example" not in text


async def test_the_dashboard_shows_the_headers_escaped(client: Client) -> None:
    answer = await client.get(
        "/dashboard", headers={**GRACE, "X-Auth-Note": "<script>alert(1)</script>"}
    )
    text = await answer.text()

    assert "Hello, Grace" in text
    assert "Notes of Globex" in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


async def test_the_dashboard_shows_when_the_identity_is_unverified(
    client: Client,
) -> None:
    text = await (await client.get("/dashboard")).text()

    assert "bypassed the gateway" in text


async def test_scripts_run_by_nonce_only(client: Client) -> None:
    answer = await client.get("/dashboard", headers=GRACE)

    policy = answer.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert f'<script nonce="{nonce[1]}">' in await answer.text()
    assert "unsafe-inline" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/auth/login",
        "/auth/onboarding",
        "/dashboard",
        "/admin",
        "/static/style.css",
    ],
)
async def test_a_page_asks_for_nothing_from_elsewhere(
    client: Client, path: str
) -> None:
    answer = await client.get(path, headers=GRACE)
    text = await answer.text()

    assert answer.status == 200
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)


async def test_the_clock_ticks_and_lets_itself_be_closed(client: Client) -> None:
    socket = await client.ws_connect("/ws/clock")

    ticks = [(await socket.receive_json())["now"] for _ in range(2)]
    await socket.close()

    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", tick) for tick in ticks)
    assert socket.close_code == 1000


async def test_events_come_one_by_one(client: Client) -> None:
    answer = await client.get("/events")

    first = await answer.content.readuntil(b"\n\n")
    answer.close()

    assert answer.content_type == "text/event-stream"
    assert re.fullmatch(rb"event: tick\ndata: \d\d:\d\d:\d\d\n\n", first)
