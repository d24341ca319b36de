"""For which tenant a request speaks: named by session, host, path or header."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from gateway.sessions.record import Tenant
from tests.servers import Server
from tests.sessions.samples import the_session
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    Reply,
    Seen,
    answer_ok,
    ask,
    base_config,
    running_gateway,
    sign_in_header,
)

HOMELESS: dict[str, Any] = {"tenants": {}, "active_tenant": None}
EVERYWHERE = [
    {"host": "{tenant}.gw.test"},
    {"path": "/t/{tenant}/**"},
    {"header": "X-Tenant"},
    "session",
]


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    config = base_config(upstream.port)
    config["tenants"] = {"resolve": EVERYWHERE}
    config["tokens"]["profiles"]["database"]["cookie"] = "db_jwt"
    api = config["upstreams"]["api"]
    config["upstreams"]["db"] = {"url": api["url"], "token": "database"}
    config["routes"] += [
        {"match": "/t/{tenant}/**", "rule": "protected", "upstream": "db"},
        {
            "match": "/choose/**",
            "rule": "protected",
            "require": {"tenant": True},
            "upstream": "db",
        },
        {"match": "/open/**", "rule": "public", "upstream": "db"},
        {"match": "/any/**", "rule": "protected", "upstream": "db"},
    ]
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


async def get(
    gateway: Gateway, target: str, cookie: str, host: str = "gw.test", **fields: str
) -> Reply:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    headers = PROGRAM | {"Cookie": cookie} | named
    return await ask(gateway.port, "GET", target, headers, host=host)


def received_by(
    upstream: RecordingUpstream,
) -> tuple[str | None, str | None, str | None]:
    """Tenant and role by the headers, and the tenant by the token."""
    seen = upstream.last
    token = seen.one("Authorization")
    claims = (
        jwt.decode(token.removeprefix("Bearer "), options={"verify_signature": False})
        if token
        else {}
    )
    return (
        seen.one("X-Auth-Tenant-Id"),
        seen.one("X-Auth-Tenant-Role"),
        claims.get("tenant_id"),
    )


# Hostile first: who may not have it


@pytest.mark.parametrize(
    ("target", "host", "fields", "reason"),
    [
        ("/t/t_other/x", "gw.test", {}, "not_a_member"),
        ("/any", "t-other.gw.test", {}, "not_a_member"),
        ("/any", "gw.test", {"X_Tenant": "t_other"}, "not_a_member"),
        ("/any", "gw.test", {"X_Tenant": "t_acme,t_blue"}, "not_a_member"),
        ("/any", "gw.test", {"X_Tenant": ""}, "not_a_member"),
        ("/t/T_ACME/x", "gw.test", {}, "not_a_member"),
        ("/t/t_acme%20/x", "gw.test", {}, "not_a_member"),
        ("/t/t_blue/x", "gw.test", {"X_Tenant": "t_acme"}, "tenant_conflict"),
        ("/t/t_blue/x", "acme.gw.test", {}, "tenant_conflict"),
        ("/any", "acme.gw.test", {"X_Tenant": "t_acme"}, "tenant_conflict"),
    ],
)
async def test_a_tenant_that_is_not_ones_own_or_not_agreed_on_is_refused(
    gateway: Gateway,
    upstream: RecordingUpstream,
    target: str,
    host: str,
    fields: dict[str, str],
    reason: str,
) -> None:
    acme = Tenant(id="acme", name="Acme", role="owner")
    t_acme, t_blue = (Tenant(id=i, name=i, role="owner") for i in ("t_acme", "t_blue"))
    tenants = {each.id: each for each in (acme, t_acme, t_blue)}
    cookie = await gateway.sign_in(tenants=tenants, active_tenant=None)

    reply = await get(gateway, target, cookie, host, **fields)

    assert (reply.status, reply.json()["reason"]) == (403, reason)
    assert upstream.seen == []


async def test_the_session_and_the_path_must_not_disagree(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()  # t_acme is active, t_blue is had as well

    reply = await get(gateway, "/t/t_blue/x", cookie)

    assert (reply.status, reply.json()["reason"]) == (403, "tenant_conflict")
    assert upstream.seen == []


@pytest.mark.parametrize("target", ["/any", "/open", "/api/x", "/choose", "/t/t_acme"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"X_Tenant": "t_acme"},
        {"X_Auth_Tenant_Id": "t_acme"},
        {"Authorization": "Bearer e30.e30."},
    ],
    ids=["nothing", "the header", "our header", "a token"],
)
async def test_who_is_in_no_tenant_gets_no_tenant_token_ever(
    gateway: Gateway, upstream: RecordingUpstream, target: str, fields: dict[str, str]
) -> None:
    cookie = await gateway.sign_in(**HOMELESS)
    for host in ("gw.test", "acme.gw.test", "t_acme.gw.test"):
        reply = await get(gateway, target, cookie, host, **fields)

        assert "db_jwt" not in "".join(reply.all("Set-Cookie"))
        if reply.status == 200:
            assert received_by(upstream) == (None, None, None)
        else:
            assert reply.status in {400, 403}


async def test_an_active_tenant_that_was_taken_away_is_none(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()
    key = gateway.key_of(cookie)
    await get(gateway, "/any", cookie)
    assert received_by(upstream) == ("t_acme", "owner", "t_acme")
    session = the_session(await gateway.own_store.load(key))
    left = {"t_blue": session.tenants["t_blue"]}

    assert await gateway.own_store.replace(key, session, replace(session, tenants=left))
    reply = await get(gateway, "/any", cookie)
    needed = await get(gateway, "/choose", cookie)

    assert reply.status == 200
    assert received_by(upstream) == (None, None, None)
    assert (needed.status, needed.json()["reason"]) == (403, "tenant_missing")


# Who may


@pytest.mark.parametrize(
    ("target", "host", "fields"),
    [
        ("/t/blue/x", "gw.test", {}),
        ("/any", "blue.gw.test", {}),
        ("/any", "BLUE.gw.test", {}),
        ("/any", "gw.test", {"X_Tenant": "blue"}),
        ("/t/blue/x", "blue.gw.test", {"X_Tenant": "blue"}),
    ],
    ids=["path", "host", "host in capitals", "header", "all of them"],
)
async def test_a_membership_is_named_by_any_of_them(
    gateway: Gateway,
    upstream: RecordingUpstream,
    target: str,
    host: str,
    fields: dict[str, str],
) -> None:
    blue = Tenant(id="blue", name="Blue", role="member")
    cookie = await gateway.sign_in(tenants={"blue": blue}, active_tenant=None)

    reply = await get(gateway, target, cookie, host, **fields)

    assert reply.status == 200
    assert received_by(upstream) == ("blue", "member", "blue")
    assert upstream.last.all("X-Tenant") == []


async def test_who_has_none_is_sent_to_choose_and_comes_back(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in(active_tenant=None)
    browser = BROWSER | {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}

    program = await get(gateway, "/choose/x?y=z", cookie)
    sent = await ask(gateway.port, "GET", "/choose/x?y=z", browser)
    page = sent.present("Location")
    shown = await ask(gateway.port, "GET", page, browser)
    requested = parse_qs(urlsplit(page).query)
    body = f"tenant_id=t_blue&return_to={requested['return_to'][0]}".encode()
    chosen = await ask(gateway.port, "POST", "/.gateway/tenant", browser, body)
    back = await ask(gateway.port, "GET", chosen.present("Location"), browser)

    assert (program.status, program.json()["reason"]) == (403, "tenant_missing")
    assert (sent.status, urlsplit(page).path) == (302, "/auth/onboarding")
    assert requested == {"return_to": ["/choose/x?y=z"], "reason": ["tenant_missing"]}
    assert (shown.status, back.status) == (200, 200)
    assert chosen.one("Location") == "/choose/x?y=z"
    assert received_by(upstream) == ("t_blue", "member", "t_blue")


async def test_the_token_of_before_the_switch_is_not_used_again(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()
    for tenant, role in (("t_acme", "owner"), ("t_blue", "member")) * 2:
        body = f"tenant_id={tenant}".encode()
        fields = PROGRAM | {"Cookie": cookie}
        done = await ask(gateway.port, "POST", "/.gateway/tenant", fields, body)
        reply = await get(gateway, "/any", cookie)

        assert done.status == 303
        assert received_by(upstream) == (tenant, role, tenant)
        (handed,) = reply.all("Set-Cookie")
        assert upstream.last.present("Authorization").removeprefix("Bearer ") in handed
    switches = [
        (line["organization.id"], line["gateway.target.organization.id"])
        for line in await gateway.logged()
        if line.get("event.action") == "gateway.tenant_switch"
    ]
    assert switches[1:] == [
        ("t_acme", "t_blue"),
        ("t_blue", "t_acme"),
        ("t_acme", "t_blue"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.test"},
        {"Origin": "http://blog.gw.test"},
        {"Origin": "null"},
    ],
)
async def test_only_a_page_of_the_same_origin_switches(
    gateway: Gateway, upstream: RecordingUpstream, fields: dict[str, str]
) -> None:
    cookie = await gateway.sign_in()
    headers = BROWSER | {"Cookie": cookie} | fields

    reply = await ask(
        gateway.port, "POST", "/.gateway/tenant", headers, b"tenant_id=t_blue"
    )
    await get(gateway, "/any", cookie)

    assert reply.status == 403
    assert received_by(upstream) == ("t_acme", "owner", "t_acme")


async def test_of_switches_at_once_each_is_done_and_the_last_stays(
    gateway: Gateway, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    cookie = await gateway.sign_in()
    folder = tmp_path / "other"
    folder.mkdir()
    config = base_config(upstream.port)

    async with running_gateway(config, folder, redis.url) as other:
        replies = await asyncio.gather(
            *(
                ask(
                    (gateway, other)[number % 2].port,
                    "POST",
                    "/.gateway/tenant",
                    PROGRAM | {"Cookie": cookie},
                    f"tenant_id={('t_acme', 't_blue')[number // 2 % 2]}".encode(),
                )
                for number in range(80)
            )
        )
        last = await ask(
            other.port,
            "POST",
            "/.gateway/tenant",
            PROGRAM | {"Cookie": cookie},
            b"tenant_id=t_blue",
        )

    await get(gateway, "/any", cookie)
    assert {reply.status for reply in (*replies, last)} == {303}
    assert received_by(upstream) == ("t_blue", "member", "t_blue")


async def test_back_to_personal_and_to_the_organization(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = {"Cookie": await gateway.sign_in()}

    async def switched(tenant_id: str) -> int:
        body = f"tenant_id={tenant_id}&return_to=/".encode()
        reply = await ask(
            gateway.port, "POST", "/.gateway/tenant", BROWSER | cookie, body
        )
        await ask(gateway.port, "GET", "/dashboard", cookie)
        return reply.status

    assert await switched("") == 303
    assert upstream.last.one("X-Auth-Tenant-Id") is None
    page = await ask(gateway.port, "GET", "/.gateway/account", BROWSER | cookie)
    assert b'Personal <span class="chip">Active</span>' in page.body
    denied = await ask(gateway.port, "GET", "/api/x", cookie)
    assert (denied.status, denied.json()["reason"]) == (403, "tenant_missing")

    assert await switched("t_blue") == 303
    assert upstream.last.one("X-Auth-Tenant-Id") == "t_blue"
    # Hostile: a membership that the session does not have, and no value at all.
    assert await switched("t_other") == 403
    nothing = await ask(
        gateway.port, "POST", "/.gateway/tenant", BROWSER | cookie, b"a=b"
    )
    assert nothing.status == 403
    assert upstream.last.one("X-Auth-Tenant-Id") == "t_blue"


@pytest.mark.parametrize(
    ("active", "tenant"), [({}, "t_1"), ({"active_tenant_id": None}, None)]
)
async def test_a_sign_in_may_leave_no_active_tenant(
    gateway: Gateway,
    upstream: RecordingUpstream,
    active: dict[str, None],
    tenant: str | None,
) -> None:
    document = {"identity": {"id": "u"}, "tenants": {"t_1": {}}} | active

    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        header = sign_in_header(document).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
            b"X-Gateway-Sign-In: " + header + b"\r\n\r\n"
        )

    upstream.answer = answer
    reply = await ask(gateway.port, "POST", "/auth/login", BROWSER, b"a=b")
    cookie = (reply.one("Set-Cookie") or "").partition(";")[0]
    upstream.answer = answer_ok
    await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})

    assert upstream.last.one("X-Auth-Tenant-Id") == tenant
