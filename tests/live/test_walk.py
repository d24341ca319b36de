"""Each library's own sign-in, through a gateway configured as its example says."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from tests.live.libraries import SECRET, parameters
from tests.live.running import ADA, APPS, EXAMPLES, MO
from tests.live.walking import Live, copy_of, headers_of, is_anonymous, signed_in
from tests.live.wide import CHOSEN, PACKAGES
from tests.npm import unpinned

REPORT = "/dashboard/report"


async def test_an_unauthenticated_user_is_sent_to_sign_in_and_may_see_public_pages(
    live: Live,
) -> None:
    browser = live.browser()

    assert await is_anonymous(browser)
    assert (await browser.get("/admin")).status == 302
    assert (await browser.get("/")).json()["me"] is None


async def test_the_identity_is_sent_to_the_app_and_no_client_can_forge_it(
    live: Live,
) -> None:
    browser = await signed_in(live)

    reply = await browser.get(
        "/dashboard", **{"X-Auth-User-Id": "u_ada", "X_Auth_Role": "admin"}
    )

    seen = headers_of(reply)
    me = str(reply.json()["me"])
    assert seen["x-auth-user-id"] == me
    assert seen["x-auth-email"] == MO["email"]
    assert seen["x-auth-role"] == "member"
    assert "x_auth_role" not in seen
    assert f"{live.library.cookie}=" in seen["cookie"]


async def test_an_admin_is_let_in_and_a_member_is_not(live: Live) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)

    assert headers_of(await ada.get("/admin"))["x-auth-role"] == "admin"
    assert (await mo.get("/admin")).status == 403


async def test_who_signed_out_at_the_app_is_unauthenticated(live: Live) -> None:
    browser = await signed_in(live)
    key, thief = live.library.key(browser), copy_of(browser)

    reply = await live.library.signing.sign_out(browser)

    assert reply.status in (200, 302)
    assert bool(await live.store.exists(key)) == live.library.keeps_key
    assert await is_anonymous(browser)
    assert await is_anonymous(thief)


@pytest.mark.parametrize(
    "library",
    parameters(*(library for library in CHOSEN if library.keeps_guests)),
    scope="session",
)
async def test_a_guest_is_unauthenticated(live: Live) -> None:
    browser = live.browser()
    assert (await browser.get("/basket")).status == 200
    assert await live.store.exists(live.library.key(browser))

    assert await is_anonymous(browser)
    assert live.library.cookie in browser.cookies  # his basket is still his
    assert "x-auth-user-id" not in headers_of(await browser.get("/"))


async def test_a_cookie_that_was_tampered_with_is_refused(live: Live) -> None:
    browser = await signed_in(live)
    value = browser.cookies[live.library.cookie]
    middle = len(value) // 2
    other = "x" if value[middle] != "x" else "y"
    browser.cookies[live.library.cookie] = value[:middle] + other + value[middle + 1 :]

    assert (await live.past_the_gateway(browser).get("/")).json()["me"] is None
    assert await is_anonymous(copy_of(browser))
    assert "x-auth-user-id" not in headers_of(await copy_of(browser).get("/"))


async def test_an_end_at_the_gateway_holds_whatever_the_library_writes_back(
    live: Live,
) -> None:
    browser = await signed_in(live)
    key, thief = live.library.key(browser), copy_of(browser)
    at_the_app = live.past_the_gateway(browser)
    # Not through the gateway, which would cut its answer off once the session ended.
    report = asyncio.create_task(live.past_the_gateway(browser).get(REPORT))
    await live.report_has_started()

    ended = await browser.post_form("/.gateway/logout")
    await live.library.signing.sign_out(at_the_app)
    await live.let_the_report_finish()
    late = await report

    assert ended.status == 303
    assert live.library.cookie not in browser.cookies
    assert late.status == (200 if live.library.writes_back else 400)
    if live.library.writes_back:  # so the library itself would let the thief in
        assert await live.store.exists(key)
        past = live.past_the_gateway(thief)
        assert (await past.get("/")).json()["me"] is not None
    assert await is_anonymous(thief)


async def test_the_admin_api_ends_a_session_and_one_can_sign_in_again(
    live: Live,
) -> None:
    browser, other = await signed_in(live), await signed_in(live)
    session_id = headers_of(await browser.get("/dashboard"))["x-auth-session-id"]

    reply = await live.admin("DELETE", f"/admin/sessions/{session_id}")

    assert reply.status == 204
    assert await live.store.exists(live.library.key(browser))  # not ours to delete
    assert await is_anonymous(browser)
    assert not await is_anonymous(other)
    await live.library.signing.sign_in(browser, MO)
    assert not await is_anonymous(browser)


async def test_the_command_line_ends_a_session(live: Live) -> None:
    browser = await signed_in(live)
    session_id = headers_of(await browser.get("/dashboard"))["x-auth-session-id"]
    words = ["sessions", "revoke", session_id, "-c", str(live.gateway.path)]

    result = await asyncio.to_thread(CliRunner().invoke, cli, words)

    assert result.exit_code == 0, result.output
    assert await is_anonymous(browser)


async def test_the_admin_api_ends_all_sessions_of_an_identity(live: Live) -> None:
    browsers = [await signed_in(live) for _ in range(2)]
    ada = await signed_in(live, ADA)
    user_id = headers_of(await browsers[0].get("/dashboard"))["x-auth-user-id"]

    reply = await live.admin("DELETE", f"/admin/identities/{user_id}/sessions")

    assert reply.status in (200, 204)
    assert [await is_anonymous(each) for each in browsers] == [True, True]
    assert not await is_anonymous(ada)
    await live.library.signing.sign_in(browsers[0], MO)
    assert not await is_anonymous(browsers[0])


async def test_the_gateway_may_read_the_sessions_and_change_nothing(
    live: Live,
) -> None:
    key = live.library.key(await signed_in(live))

    async def may(*words: str) -> bool:
        store: Any = live.store  # redis-py does not type this method
        tried = await store.execute_command("ACL", "DRYRUN", "gateway", *words)
        return bool(tried == b"OK")

    assert await may("GETRANGE", key, "0", "9")
    assert not await may("SET", key, "x")
    assert not await may("DEL", key)
    assert not await may("PEXPIRE", key, "1")
    assert not await may("GETDEL", key)
    assert not await may("GETRANGE", "of-another-app", "0", "9")


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*/gateway.yaml")), ids=lambda path: path.parent.name
)
def test_every_example_is_accepted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_SECRET", SECRET)
    monkeypatch.setenv("BETTER_AUTH_SECRET", SECRET)

    result = CliRunner().invoke(cli, ["check", "--offline", "-c", str(path)])

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("packages", [APPS, PACKAGES], ids=["apps", "wide"])
def test_the_lock_file_has_checksums_and_names_no_registry(packages: Path) -> None:
    assert unpinned(packages) == []
