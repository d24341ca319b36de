"""The hand-off: an app says who signed in, and the gateway keeps the session."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.servers import Server
from tests.sessions.samples import the_session
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Answer,
    Gateway,
    RecordingUpstream,
    Seen,
    answer_ok,
    ask,
    sign_in_header,
)

GRACE = {
    "identity": {
        "id": "u_grace",
        "traits": {"email": "grace@example.com"},
        "roles": ["member"],
    },
    "tenants": {
        "t_acme": {"name": "Acme", "role": "owner"},
        "t_blue": {"name": "Blue", "role": "member"},
    },
    "active_tenant_id": "t_acme",
}


def says(*fields: str) -> Answer:
    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        lines = "".join(f"{field}\r\n" for field in fields)
        writer.write(
            f"HTTP/1.1 303 See Other\r\nLocation: /dashboard\r\n{lines}"
            "Content-Length: 0\r\n\r\n".encode()
        )
        await writer.drain()

    return answer


async def sign_in(gateway: Gateway, upstream: RecordingUpstream, **headers: str) -> str:
    upstream.answer = says(f"X-Gateway-Sign-In: {sign_in_header(GRACE)}")
    reply = await ask(gateway.port, "POST", "/auth/login", BROWSER | headers, b"a=b")
    upstream.answer = answer_ok
    assert reply.status == 303
    assert not reply.all("X-Gateway-Sign-In")
    return reply.present("Set-Cookie").partition(";")[0]


async def test_a_sign_in_of_the_app_becomes_a_session(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await sign_in(gateway, upstream)

    reply = await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})

    assert reply.status == 200
    assert upstream.last.one("X-Auth-User-Id") == "u_grace"
    assert upstream.last.one("X-Auth-Email") == "grace@example.com"
    assert upstream.last.one("X-Auth-Tenant-Id") == "t_acme"
    assert upstream.last.one("X-Auth-Tenant-Role") == "owner"


async def test_the_cookie_is_httponly_lax_and_for_the_whole_site(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = says(f"X-Gateway-Sign-In: {sign_in_header(GRACE)}")

    reply = await ask(gateway.port, "POST", "/auth/login", BROWSER)

    attributes = reply.present("Set-Cookie").split("; ")[1:]
    assert set(attributes) == {
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
        "Max-Age=86400",
    }


async def test_a_token_known_before_sign_in_is_worth_nothing_after_it(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    planted = await gateway.sign_in()

    # Signed in already, so the step-up page is where a sign-in may happen.
    upstream.answer = says(f"X-Gateway-Sign-In: {sign_in_header(GRACE)}")
    reply = await ask(
        gateway.port,
        "POST",
        "/auth/login?refresh=true",
        BROWSER | {"Cookie": planted},
    )
    upstream.answer = answer_ok
    fresh = reply.present("Set-Cookie").partition(";")[0]

    assert fresh != planted
    old = await ask(gateway.port, "GET", "/dashboard", PROGRAM | {"Cookie": planted})
    new = await ask(gateway.port, "GET", "/dashboard", PROGRAM | {"Cookie": fresh})
    assert (old.status, old.json()["reason"]) == (401, "session_revoked")
    assert new.status == 200


async def test_an_ended_session_clears_its_cookie(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await sign_in(gateway, upstream)
    upstream.answer = says("X-Gateway-Sign-Out: this")
    out = await ask(gateway.port, "POST", "/", BROWSER | {"Cookie": cookie})
    upstream.answer = answer_ok

    after = await ask(gateway.port, "GET", "/dashboard", BROWSER | {"Cookie": cookie})

    assert "Max-Age=0" in out.present("Set-Cookie")
    assert after.present("Location").endswith("reason=session_revoked")
    assert "Max-Age=0" in after.all("Set-Cookie")[0]


async def test_sign_out_of_all_ends_every_session_of_the_identity(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    first, second = [await sign_in(gateway, upstream) for _ in range(2)]

    upstream.answer = says("X-Gateway-Sign-Out: all")
    await ask(gateway.port, "POST", "/", BROWSER | {"Cookie": first})
    upstream.answer = answer_ok

    for cookie in (first, second):
        reply = await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})
        assert reply.status == 401


async def test_an_upstream_that_may_not_sign_in_is_not_obeyed(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()
    upstream.answer = says(
        f"X-Gateway-Sign-In: {sign_in_header(GRACE)}", "X-Gateway-Secret: x"
    )

    reply = await ask(gateway.port, "GET", "/api/x", PROGRAM | {"Cookie": cookie})

    assert reply.status == 303
    assert not reply.all("Set-Cookie")
    assert not [n for n, _ in reply.headers if n.lower().startswith("x-gateway")]
    (event,) = [
        line
        for line in await gateway.logged()
        if line.get("event.action") == "malicious_extraneous"
    ]
    assert event["gateway.upstream"] == "api"


@pytest.mark.parametrize(
    "field",
    [
        "X-Gateway-Sign-In: %%%",
        "X-Gateway-Sign-In: " + sign_in_header({}),
        "X-Gateway-Sign-In: " + sign_in_header({"identity": {"id": ""}}),
        "X-Gateway-Sign-In: "
        + sign_in_header({"identity": {"id": "u", "roles": "admin"}}),
        "X-Gateway-Sign-In: " + sign_in_header(GRACE | {"active_tenant_id": "t_other"}),
        "X-Gateway-Sign-In: " + sign_in_header(GRACE | {"aal": "aal9"}),
        "X-Gateway-Sign-In: " + "A" * 20000,
        "X-Gateway-Sign-Out: everything",
        "X-Gateway-Sign-Out: this\r\nX-Gateway-Sign-In: " + sign_in_header(GRACE),
    ],
)
async def test_a_hand_off_that_cannot_be_read_signs_no_user_in(
    gateway: Gateway, upstream: RecordingUpstream, field: str
) -> None:
    upstream.answer = says(field)

    reply = await ask(gateway.port, "POST", "/auth/login", PROGRAM)

    assert (reply.status, reply.json()["reason"]) == (502, "upstream_bad_answer")
    assert not reply.all("Set-Cookie")


async def test_the_logout_button_ends_the_session_and_goes_on(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await sign_in(gateway, upstream)
    form = BROWSER | {
        "Cookie": cookie,
        "Content-Type": "application/x-www-form-urlencoded",
        "Sec-Fetch-Site": "same-origin",
    }

    reply = await ask(
        gateway.port, "POST", "/.gateway/logout", form, b"return_to=/goodbye"
    )

    assert (reply.status, reply.one("Location")) == (303, "/goodbye")
    assert "Max-Age=0" in reply.present("Set-Cookie")
    again = await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})
    assert again.status == 401


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, b"", 403, "cross_site"),
        ({"Origin": "http://evil.test"}, b"", 403, "cross_site"),
        ({}, b"return_to=//evil.test", 400, "bad_return_to"),
        ({}, b"return_to=https://evil.test/", 400, "bad_return_to"),
    ],
)
async def test_logout_refuses_other_sites_and_other_addresses(
    gateway: Gateway, headers: dict[str, str], body: bytes, status: int, reason: str
) -> None:
    cookie = await gateway.sign_in()

    reply = await ask(
        gateway.port,
        "POST",
        "/.gateway/logout",
        PROGRAM | headers | {"Cookie": cookie},
        body,
    )

    assert (reply.status, reply.json()["reason"]) == (status, reason)
    still = await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})
    assert still.status == 200


async def test_a_tenant_switch_shows_in_the_next_token(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await sign_in(gateway, upstream)

    reply = await ask(
        gateway.port,
        "POST",
        "/.gateway/tenant",
        BROWSER | {"Cookie": cookie},
        b"tenant_id=t_blue&return_to=/dashboard/x",
    )

    assert (reply.status, reply.one("Location")) == (303, "/dashboard/x")
    await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})
    assert upstream.last.one("X-Auth-Tenant-Id") == "t_blue"
    assert upstream.last.one("X-Auth-Tenant-Role") == "member"
    actions = [line.get("event.action") for line in await gateway.logged()]
    assert "gateway.tenant_switch" in actions


@pytest.mark.parametrize("tenant", ["t_other", "%00", "t_acme "])
async def test_no_user_switches_to_a_tenant_of_others(
    gateway: Gateway, upstream: RecordingUpstream, tenant: str
) -> None:
    cookie = await sign_in(gateway, upstream)

    reply = await ask(
        gateway.port,
        "POST",
        "/.gateway/tenant",
        PROGRAM | {"Cookie": cookie},
        f"tenant_id={tenant}".encode(),
    )

    assert (reply.status, reply.json()["reason"]) == (403, "not_a_member")
    await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})
    assert upstream.last.one("X-Auth-Tenant-Id") == "t_acme"


async def test_an_anonymous_tenant_switch_is_a_401(gateway: Gateway) -> None:
    reply = await ask(
        gateway.port, "POST", "/.gateway/tenant", PROGRAM, b"tenant_id=t_acme"
    )

    assert (reply.status, reply.json()["reason"]) == (401, "no_session")


async def test_a_role_taken_away_shows_on_the_next_request(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    from dataclasses import replace

    from gateway.sessions.cookie import SessionToken

    cookie = await gateway.sign_in()
    token = SessionToken(cookie.partition("=")[2])
    before = the_session(await gateway.own_store.load(token.key))
    await ask(gateway.port, "GET", "/api/x", {"Cookie": cookie})
    first = upstream.last.one("Authorization")

    demoted = replace(
        before, tenants={"t_acme": replace(before.tenants["t_acme"], role="guest")}
    )
    assert await gateway.own_store.replace(token.key, before, demoted)
    await ask(gateway.port, "GET", "/api/x", {"Cookie": cookie})

    assert upstream.last.one("Authorization") != first
    assert upstream.last.one("X-Auth-Tenant-Role") == "guest"


async def test_a_session_in_the_last_hours_of_its_life_is_extended(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    from tests.walk.harness import a_session, base_config, running_gateway

    config = base_config(upstream.port)
    config["sessions"] = {"lifespan": "24h", "extend_within": "6h"}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        old = a_session(time.time() - 20 * 3600)
        cookie = await gateway.sign_in(old)

        reply = await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})
        await gateway.app.services.finish()

        assert "Max-Age=86" in reply.present("Set-Cookie")
        assert reply.present("Set-Cookie").startswith(cookie)
        found = await gateway.app.store.find(old.id)
        assert found is not None
        _, stored = found
        assert stored.expires_at > time.time() + 23 * 3600


async def test_a_slow_public_answer_does_not_clear_the_cookie_of_a_new_sign_in(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    unknown = {"Cookie": f"gateway_session={'A' * 43}"}

    reply = await ask(gateway.port, "GET", "/", BROWSER | unknown)

    assert reply.status == 200
    assert not reply.all("Set-Cookie")


async def test_a_sign_in_form_posted_by_another_site_is_refused_where_asked(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    from tests.walk.harness import base_config, running_gateway

    config = base_config(upstream.port)
    config["routes"][4]["cross_site"] = "refuse"
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        crossed = BROWSER | {"Sec-Fetch-Site": "cross-site"}
        form = await ask(gateway.port, "POST", "/auth/login", crossed)
        link = await ask(gateway.port, "GET", "/auth/login", crossed)

        assert (form.status, link.status) == (403, 200)
