"""Sessions of apps that end by the gateway's word: everywhere, at once, for good."""

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from tests.servers import PATIENCE, Server
from tests.walk.external import (
    CUSTOM,
    MINE,
    SID,
    custom_config,
    sets_a_cookie,
    written,
)
from tests.walk.harness import (
    ADMIN_TOKEN,
    BROWSER,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    Reply,
    answer_ok,
    ask,
    running_gateway,
)

OTHER = "f" * 32
HASH = hashlib.sha256(SID.encode()).hexdigest()
OTHER_HASH = hashlib.sha256(OTHER.encode()).hexdigest()
THEIRS = {"Cookie": f"sid={OTHER}"}
HERE = {"Origin": "http://gw.test"}


async def status(gateway: Gateway, who: dict[str, str]) -> tuple[int, str]:
    reply = await ask(gateway.port, "GET", "/dashboard", who | PROGRAM)
    return reply.status, "" if reply.status == 200 else reply.json().get("reason", "")


async def both_sign_in(redis: Server, **more: Any) -> None:
    for sid in (SID, OTHER):
        await written(redis, {"user": {"id": "u"}} | more, f"sess:{sid}")


# all but one, and all


async def test_all_other_sessions_end_though_there_is_no_list(
    custom: Gateway, redis: Server
) -> None:
    await both_sign_in(redis)
    # The gateway has not seen the other one yet.
    reply = await ask(custom.port, "DELETE", "/.gateway/sessions", MINE | HERE)

    assert reply.status == 200
    assert await status(custom, MINE) == (200, "")
    assert await status(custom, THEIRS) == (401, "session_revoked")


async def test_the_one_that_was_spared_is_not_spared_the_next_time(
    custom: Gateway, redis: Server
) -> None:
    await both_sign_in(redis)
    await ask(custom.port, "DELETE", "/.gateway/sessions", MINE | HERE)

    ended = await ask_admin(custom, "DELETE", "/admin/identities/u/sessions")

    assert ended.status == 200
    assert await status(custom, MINE) == (401, "session_revoked")


async def test_who_signs_in_after_all_sessions_ended_is_in_again(
    custom: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    """Nothing in the record says when, so the gateway has to have seen it."""
    await both_sign_in(redis)
    await ask_admin(custom, "DELETE", "/admin/identities/u/sessions")
    assert await status(custom, MINE) == (401, "session_revoked")
    fresh = "a" * 32
    upstream.answer = sets_a_cookie("theme=dark", f"sid={fresh}; Path=/; HttpOnly")

    await ask(custom.port, "POST", "/login", {"Cookie": f"sid={SID}"})
    await written(redis, {"user": {"id": "u"}}, f"sess:{fresh}")

    assert await status(custom, {"Cookie": f"sid={fresh}"}) == (200, "")
    assert await status(custom, THEIRS) == (401, "session_revoked")


async def test_an_old_session_does_not_grow_young_by_being_set_again(
    custom: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    """Rolling cookies: the answer sets the id that the request came with."""
    await both_sign_in(redis)
    await ask_admin(custom, "DELETE", "/admin/identities/u/sessions")
    upstream.answer = sets_a_cookie(f"sid={OTHER}; Path=/; HttpOnly")

    await ask(custom.port, "GET", "/static/logo.svg", THEIRS)

    assert await status(custom, THEIRS) == (401, "session_revoked")


async def test_a_note_of_the_beginning_is_written_once(
    custom: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    upstream.answer = sets_a_cookie(f"sid={SID}; Path=/; HttpOnly")
    await ask(custom.port, "GET", "/")
    first = await asyncio.to_thread(redis.command_line, "GET", f"gateway:issued:{HASH}")
    await ask(custom.port, "GET", "/")
    again = await asyncio.to_thread(redis.command_line, "GET", f"gateway:issued:{HASH}")
    left = await asyncio.to_thread(redis.command_line, "PTTL", f"gateway:issued:{HASH}")

    assert first == again
    assert abs(float(str(first, "ascii")) - time.time()) < 60
    # Nobody is signed in to it, so it is kept for less than what the app keeps.
    assert 0 < left <= 86_400_000


async def test_a_visitor_who_signs_in_under_the_id_he_had_stays_signed_in(
    custom: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    """The sign-in form had a session for its CSRF token; all old ones were ended."""
    await both_sign_in(redis)
    await ask_admin(custom, "DELETE", "/admin/identities/u/sessions")
    fresh = "a" * 32
    note = "gateway:issued:" + hashlib.sha256(fresh.encode()).hexdigest()
    upstream.answer = sets_a_cookie(f"sid={fresh}; Path=/")
    await ask(custom.port, "GET", "/login")
    await written(redis, {"csrf": "token"}, f"sess:{fresh}")
    first = await asyncio.to_thread(redis.command_line, "GET", note)

    async def signs_in(_seen: object, writer: asyncio.StreamWriter) -> None:
        await written(redis, {"csrf": "token", "user": {"id": "u"}}, f"sess:{fresh}")
        writer.write(b"HTTP/1.1 303 See Other\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    upstream.answer = signs_in
    await ask(custom.port, "POST", "/login", {"Cookie": f"sid={fresh}"})
    upstream.answer = answer_ok

    assert await status(custom, {"Cookie": f"sid={fresh}"}) == (200, "")
    again = await asyncio.to_thread(redis.command_line, "GET", note)
    left = await asyncio.to_thread(redis.command_line, "PTTL", note)
    assert again == first
    assert left > 30 * 86_400_000


async def test_a_recent_sign_in_is_one_that_the_gateway_saw(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    await asyncio.to_thread(redis.command_line, "FLUSHALL")
    config = custom_config(upstream.port)
    config["routes"].append(
        {
            "match": "/billing",
            "rule": "protected",
            "require": {"authenticated_within": "15m"},
            "upstream": "web",
        }
    )
    await both_sign_in(redis)
    upstream.answer = sets_a_cookie(f"sid={SID}; Path=/")
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        unknown = await ask(gateway.port, "GET", "/billing", MINE | PROGRAM)
        await ask(gateway.port, "POST", "/login")

        assert (unknown.status, unknown.json()["reason"]) == (401, "step_up")
        assert (await ask(gateway.port, "GET", "/billing", MINE)).status == 200
        assert (
            await ask(gateway.port, "GET", "/billing", THEIRS | BROWSER)
        ).status == 302


# WebSockets, and other processes


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.fixture
async def pair(redis: Server, tmp_path: Path) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two processes' worth of gateway before an app that echoes."""
    await asyncio.to_thread(redis.command_line, "FLUSHALL")
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(echo, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        gateways = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            gateway = await stack.enter_async_context(
                running_gateway(custom_config(port), folder, redis.url)
            )
            listening = asyncio.Event()
            gateway.app.store.watch(lambda _key, _reason: None, listening.set)
            await asyncio.wait_for(listening.wait(), PATIENCE)
            gateways.append(gateway)
        yield gateways[0], gateways[1]


@contextlib.asynccontextmanager
async def dialled(gateway: Gateway, sid: str) -> AsyncIterator[ClientConnection]:
    async with connect(
        f"ws://127.0.0.1:{gateway.port}/dashboard",
        additional_headers={"Cookie": f"sid={sid}"},
        proxy=None,
    ) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
        yield ws


async def closed_with(ws: ClientConnection) -> tuple[int | None, str | None]:
    await asyncio.wait_for(ws.wait_closed(), PATIENCE)
    return ws.close_code, ws.close_reason


async def test_signing_out_ends_the_websockets_of_the_session_in_every_process(
    pair: tuple[Gateway, Gateway], redis: Server
) -> None:
    one, two = pair
    await both_sign_in(redis)
    async with (
        dialled(one, SID) as near,
        dialled(two, SID) as far,
        dialled(two, OTHER) as other,
    ):
        await ask(one.port, "POST", "/.gateway/logout", MINE | HERE)

        assert await closed_with(near) == (1008, "session_revoked")
        assert await closed_with(far) == (1008, "session_revoked")
        await other.send("still here")
        assert await other.recv() == "still here"


async def test_ending_all_others_ends_their_websockets_in_every_process(
    pair: tuple[Gateway, Gateway], redis: Server
) -> None:
    one, two = pair
    await both_sign_in(redis)
    async with dialled(two, SID) as mine, dialled(two, OTHER) as other:
        await ask(one.port, "DELETE", "/.gateway/sessions", MINE | HERE)

        assert await closed_with(other) == (1008, "session_revoked")
        await mine.send("still here")
        assert await mine.recv() == "still here"


async def test_a_lost_push_is_caught_by_asking_again(
    pair: tuple[Gateway, Gateway], redis: Server
) -> None:
    one, _ = pair
    await both_sign_in(redis)
    async with dialled(one, SID) as ws, dialled(one, OTHER) as other:
        await asyncio.to_thread(
            redis.command_line, "SET", f"gateway:revoked:{HASH}", ""
        )
        await asyncio.to_thread(redis.command_line, "DEL", f"sess:{OTHER}")
        one.app._process.checks.check_sessions_soon()

        assert await closed_with(ws) == (1008, "session_revoked")
        assert await closed_with(other) == (1008, "unknown_session")


# the admin API, and what stays the app's


async def ask_admin(
    gateway: Gateway, method: str, target: str, body: bytes = b""
) -> Reply:
    port = int(str(gateway.app._loaded.config.server.admin).rpartition(":")[2])
    return await ask(
        port, method, target, {"Authorization": f"Bearer {ADMIN_TOKEN}"}, body
    )


async def test_an_administrator_ends_a_session_by_its_public_id(
    custom: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    await both_sign_in(redis)
    await ask(custom.port, "GET", "/dashboard", MINE)
    public_id = upstream.last.one("X-Auth-Session-Id")
    shown = await ask_admin(custom, "GET", f"/admin/sessions/{public_id}")

    ended = await ask_admin(custom, "DELETE", f"/admin/sessions/{public_id}")
    unseen = await ask_admin(custom, "DELETE", f"/admin/sessions/{OTHER_HASH}")
    nonsense = await ask_admin(custom, "DELETE", "/admin/sessions/nobody")

    after = await ask_admin(custom, "GET", f"/admin/sessions/{public_id}")

    assert public_id == HASH
    assert after.json()["active"] is False
    assert (shown.status, shown.json()["identity"]["id"]) == (200, "u")
    assert (ended.status, unseen.status, nonsense.status) == (204, 204, 404)
    assert await status(custom, MINE) == (401, "session_revoked")
    assert await status(custom, THEIRS) == (401, "session_revoked")


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/admin/sessions", b'{"identity": {"id": "u"}}'),
        ("PATCH", f"/admin/sessions/{HASH}/extend", b""),
        ("GET", "/admin/identities/u/sessions", b""),
    ],
)
async def test_what_only_the_app_can_do_is_refused(
    custom: Gateway, method: str, target: str, body: bytes
) -> None:
    reply = await ask_admin(custom, method, target, body)

    assert (reply.status, reply.json()["reason"]) == (409, "session_read_only")


async def test_the_organization_is_changed_in_the_app(
    custom: Gateway, redis: Server
) -> None:
    await both_sign_in(redis)
    reply = await ask(
        custom.port, "POST", "/.gateway/tenant", MINE | HERE | PROGRAM, b"tenant_id=t"
    )

    assert (reply.status, reply.json()["reason"]) == (409, "session_read_only")


async def test_the_account_page_offers_only_what_it_can_do(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    await asyncio.to_thread(redis.command_line, "FLUSHALL")
    config = custom_config(upstream.port)
    profile = CUSTOM["profile"] | {"active_tenant": "$.org", "tenants": "$.orgs"}
    config["sessions"] = CUSTOM | {"profile": profile}
    orgs = {"t_a": {"name": "Acme"}, "t_b": {"name": "Blue"}}
    await both_sign_in(redis, org="t_a", orgs=orgs)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        page = await ask(gateway.port, "GET", "/.gateway/account", MINE | BROWSER)
        text = page.body.decode()
        others = await ask(
            gateway.port, "POST", "/.gateway/account/end-others", MINE | HERE | BROWSER
        )

        assert page.status == 200
        assert "Acme" in text
        assert "Blue" in text
        assert 'action="/.gateway/tenant"' not in text
        assert 'action="/.gateway/account/end-others"' in text
        assert "Only this device is listed" in text
        assert "Signed in" not in text
        assert others.status == 303
        assert await status(gateway, THEIRS) == (401, "session_revoked")


async def test_the_ory_paths_show_this_session_and_list_no_others(
    custom: Gateway, redis: Server
) -> None:
    await both_sign_in(redis)

    whoami = await ask(custom.port, "GET", "/.gateway/sessions/whoami", MINE)
    others = await ask(custom.port, "GET", "/.gateway/sessions", MINE)
    requested = await ask(custom.port, "GET", "/.gateway/session", MINE)

    assert (whoami.status, whoami.json()["id"]) == (200, HASH)
    assert "authenticated_at" not in whoami.json()
    assert (others.status, others.json()) == (200, [])
    assert requested.json()["session_id"] == HASH
    assert re.match("20[0-9]{2}-", requested.json()["expires_at"])


async def test_kratos_sign_out_ends_an_app_s_session(
    custom: Gateway, redis: Server
) -> None:
    await both_sign_in(redis)
    flow = await ask(
        custom.port, "GET", "/.gateway/self-service/logout/browser", MINE | PROGRAM
    )
    target = flow.json()["logout_url"].removeprefix("http://gw.test")

    reply = await ask(custom.port, "GET", target, MINE | PROGRAM)

    assert reply.status == 204
    assert await status(custom, MINE) == (401, "session_revoked")


async def test_a_cookie_with_a_domain_is_removed_with_that_domain(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    """A browser keeps a cookie that is cleared without the Domain it was set with."""
    await asyncio.to_thread(redis.command_line, "FLUSHALL")
    await both_sign_in(redis)
    config = custom_config(upstream.port)
    cookie = {**CUSTOM["cookie"], "domain": "shop.test"}
    config["sessions"] = CUSTOM | {"cookie": cookie}
    config["server"]["public_url"] = "http://www.shop.test"
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        here = MINE | {"Origin": "http://www.shop.test"}
        reply = await ask(
            gateway.port, "POST", "/.gateway/logout", here, host="www.shop.test"
        )

    [cleared] = [each for each in reply.all("Set-Cookie") if "Max-Age=0" in each]
    assert reply.status == 303
    assert cleared.startswith(f"{CUSTOM['cookie']['name']}=;")
    assert "; Domain=shop.test" in cleared


async def test_a_guest_who_signs_out_can_sign_in_under_the_same_id(
    custom: Gateway, redis: Server
) -> None:
    """Some libraries keep the id at sign-in: it must not be a dead one."""
    await written(redis, {"cart": [1]})
    out = await ask(custom.port, "POST", "/.gateway/logout", MINE | HERE)
    await written(redis, {"cart": [1], "user": {"id": "u"}})

    assert out.status == 303
    assert out.all("Set-Cookie") == []
    assert await status(custom, MINE) == (200, "")


async def test_what_is_remembered_is_forgotten_when_nothing_can_come_back(
    custom: Gateway, redis: Server
) -> None:
    await both_sign_in(redis)
    await ask(custom.port, "DELETE", "/.gateway/sessions", MINE | HERE)
    await ask(custom.port, "POST", "/.gateway/logout", MINE | HERE)

    ours = await asyncio.to_thread(redis.command_line, "KEYS", "gateway:*")
    assert isinstance(ours, list)
    assert {key.decode() for key in ours} == {
        f"gateway:revoked:{HASH}",
        "gateway:not-before:u",
    }
    for key in ours:
        left = await asyncio.to_thread(redis.command_line, "PTTL", key)
        assert 30 * 86_400_000 < left <= 31 * 86_400_000


async def test_no_upstream_may_sign_in_by_header(
    custom: Gateway, upstream: RecordingUpstream
) -> None:
    async def answer(_seen: object, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nX-Gateway-Sign-Out: all\r\nContent-Length: 0\r\n\r\n"
        )
        await writer.drain()

    upstream.answer = answer
    reply = await ask(custom.port, "GET", "/", MINE)

    assert reply.status == 200
    assert reply.all("X-Gateway-Sign-Out") == []


async def test_a_reload_changes_how_sessions_are_read_but_not_whose_they_are(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    await asyncio.to_thread(redis.command_line, "FLUSHALL")
    await both_sign_in(redis)
    config = custom_config(upstream.port)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        assert await status(gateway, MINE) == (200, "")
        profile = CUSTOM["profile"] | {"roles": "$.none", "identity": "$.user.other"}
        config["sessions"] = CUSTOM | {"profile": profile}
        gateway.path.write_text(yaml.safe_dump(config))
        assert await gateway.app.reload()
        # The bytes are the same, what they mean is not.
        assert await status(gateway, MINE) == (401, "no_session")
        config["sessions"] = {"format": "gateway"}
        gateway.path.write_text(yaml.safe_dump(config))
        assert not await gateway.app.reload()
        assert await status(gateway, MINE) == (401, "no_session")


# the app's own sign-out


GOODBYE = "sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly"


async def test_a_sign_out_in_the_app_holds_though_the_record_is_written_again(
    custom: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    await both_sign_in(redis)
    upstream.answer = sets_a_cookie(GOODBYE)
    reply = await ask(custom.port, "POST", "/sign-out", MINE)
    # A request in flight writes back what the app has deleted.
    await written(redis, {"user": {"id": "u"}})

    assert (reply.status, reply.all("Set-Cookie")) == (200, [GOODBYE])
    assert await status(custom, MINE) == (401, "session_revoked")
    assert await status(custom, THEIRS) == (200, "")


@pytest.mark.parametrize(
    ("lines", "who"),
    [
        pytest.param((GOODBYE, f"sid={SID}; Path=/"), MINE, id="and-set-again"),
        pytest.param(("sid=; Path=/old; Max-Age=0",), MINE, id="at-another-path"),
        pytest.param((GOODBYE,), {"Cookie": f"sid={'a' * 32}"}, id="of-nobody"),
        pytest.param((GOODBYE,), {}, id="without-a-cookie"),
    ],
)
async def test_what_is_no_sign_out_ends_nothing(
    custom: Gateway,
    upstream: RecordingUpstream,
    redis: Server,
    lines: tuple[str, ...],
    who: dict[str, str],
) -> None:
    await both_sign_in(redis)
    upstream.answer = sets_a_cookie(*lines)

    await ask(custom.port, "POST", "/sign-out", who)

    ended = await asyncio.to_thread(redis.command_line, "KEYS", "gateway:revoked:*")
    assert ended == []
    assert await status(custom, MINE) == (200, "")
