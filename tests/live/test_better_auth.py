"""What Better Auth adds: organizations, bans, and a token beside the cookie."""

import asyncio
import base64
import json
import re
from typing import Any

import pytest
import yaml

from tests.docs.snippets import block_of
from tests.live.browser import Browser
from tests.live.libraries import BETTER_AUTH, parameters
from tests.live.running import ADA, MEMBERSHIPS, MO
from tests.live.walking import Live, copy_of, headers_of, is_anonymous, signed_in

pytestmark = pytest.mark.parametrize(
    "library", parameters(BETTER_AUTH), scope="session"
)


IF_IT_IS_OUR_TURN = re.compile(r"= `\n(if redis.+?)`;", re.DOTALL).search


async def call(browser: Browser, path: str, **document: Any) -> Any:
    """Call the library's API, which has to agree."""
    reply = await browser.post_json(f"/api/auth/{path}", document)
    assert reply.status == 200, (path, reply)
    return reply.json()


async def tenant_of(browser: Browser) -> tuple[str | None, str | None]:
    """The tenant that the app is told, and the one that the token names."""
    seen = headers_of(await browser.get("/dashboard"))
    token = seen.get("x-tenant-token")
    if token is None:
        return seen.get("x-auth-tenant-id"), None
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return seen.get("x-auth-tenant-id"), claims["tenant_id"]


async def a_company(owner: Browser, slug: str) -> str:
    made = await call(owner, "organization/create", name=slug.title(), slug=slug)
    return str(made["id"])


async def joined(owner: Browser, member: Browser, company: str, email: str) -> str:
    """Invite somebody, accept for them; gives the id of the membership."""
    invited = await call(
        owner,
        "organization/invite-member",
        organizationId=company,
        email=email,
        role="member",
    )
    accepted = await call(
        member, "organization/accept-invitation", invitationId=invited["id"]
    )
    await call(member, "organization/set-active", organizationId=company)
    return str(accepted["member"]["id"])


async def stored(live: Live, key: str) -> bytes:
    value = await live.store.get(key)
    assert isinstance(value, bytes)
    return value


async def session_of(live: Live, browser: Browser) -> dict[str, Any]:
    record = json.loads(await stored(live, live.library.key(browser)))
    session: dict[str, Any] = record["session"]
    return session


async def test_an_active_organization_without_a_membership_is_nobodys_tenant(
    live: Live,
) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    company = await a_company(ada, "removed")
    membership = await joined(ada, mo, company, MO["email"])
    assert await tenant_of(mo) == (company, company)

    await call(
        ada,
        "organization/remove-member",
        memberIdOrEmail=membership,
        organizationId=company,
    )

    left_over = (await session_of(live, mo))["activeOrganizationId"]
    assert left_over == company
    assert await tenant_of(mo) == (None, None)
    assert await tenant_of(ada) == (company, company)


async def test_who_leaves_or_whose_organization_ends_has_no_tenant(live: Live) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    second = await signed_in(live)  # the same person at another device
    first_company = await a_company(ada, "left")
    await joined(ada, mo, first_company, MO["email"])
    await call(second, "organization/set-active", organizationId=first_company)
    assert await tenant_of(second) == (first_company, first_company)

    await call(mo, "organization/leave", organizationId=first_company)

    assert (await session_of(live, second))["activeOrganizationId"] == first_company
    assert await tenant_of(second) == (None, None)

    second_company = await a_company(ada, "ended")
    await joined(ada, mo, second_company, MO["email"])
    await call(ada, "organization/delete", organizationId=second_company)

    assert (await session_of(live, mo))["activeOrganizationId"] == second_company
    assert await tenant_of(mo) == (None, None)


async def test_a_membership_that_was_read_before_its_end_is_not_written_after(
    live: Live,
) -> None:
    """A publication that is overtaken by another keeps still."""
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    company = await a_company(ada, "overtaken")
    await joined(ada, mo, company, MO["email"])
    user_id = headers_of(await mo.get("/dashboard"))["x-auth-user-id"]
    stale = await stored(live, f"memberships:{user_id}")
    found = IF_IT_IS_OUR_TURN(MEMBERSHIPS.read_text())
    assert found
    script = found[1]
    keys = (f"memberships-turn:{user_id}", f"memberships:{user_id}")
    turn = int(await stored(live, keys[0]))
    assert await tenant_of(mo) == (company, company)

    await call(mo, "organization/leave", organizationId=company)
    await live.store.eval(script, 2, *keys, turn, stale)

    assert await live.store.get(keys[1]) == b'{"banned":false,"tenants":{}}'


async def test_memberships_from_before_are_published_at_sign_in(live: Live) -> None:
    ada = await signed_in(live, ADA)
    company = await a_company(ada, "before")
    user_id = headers_of(await ada.get("/dashboard"))["x-auth-user-id"]
    await live.store.delete(f"memberships:{user_id}")
    assert await tenant_of(ada) == (None, None)

    second = await signed_in(live, ADA)
    await call(second, "organization/set-active", organizationId=company)

    assert await tenant_of(second) == (company, company)
    assert await tenant_of(ada) == (company, company)


async def test_the_role_in_the_tenant_is_the_one_of_now(live: Live) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    company = await a_company(ada, "promoted")
    membership = await joined(ada, mo, company, MO["email"])
    assert headers_of(await mo.get("/dashboard"))["x-auth-tenant-role"] == "member"

    await call(
        ada,
        "organization/update-member-role",
        memberId=membership,
        role="admin",
        organizationId=company,
    )

    seen = headers_of(await mo.get("/dashboard"))
    assert seen["x-auth-tenant-role"] == "admin"
    assert seen["x-auth-role"] == "member"  # of a company, not of the whole
    assert (await mo.get("/admin")).status == 403


async def test_an_organization_of_another_user_cannot_be_chosen(
    live: Live,
) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    company = await a_company(ada, "foreign")

    reply = await mo.post_json(
        "/api/auth/organization/set-active", {"organizationId": company}
    )

    assert reply.status == 403
    assert await tenant_of(mo) == (None, None)


async def test_who_was_banned_is_unauthenticated_with_the_next_request(
    live: Live,
) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    second = await signed_in(live)
    user_id = headers_of(await mo.get("/dashboard"))["x-auth-user-id"]

    await call(ada, "admin/ban-user", userId=user_id)
    try:
        assert [await is_anonymous(each) for each in (mo, second)] == [True, True]
        again = live.browser()
        refused = await live.library.signing.sign_in(again, MO)
        assert refused.status == 403
        assert await is_anonymous(again)
    finally:
        await call(ada, "admin/unban-user", userId=user_id)


async def test_a_role_that_the_api_gives_and_takes_counts_at_once(live: Live) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    user_id = headers_of(await mo.get("/dashboard"))["x-auth-user-id"]
    assert (await mo.get("/admin")).status == 403

    await call(ada, "admin/set-role", userId=user_id, role="admin")
    let_in = await mo.get("/admin")
    await call(ada, "admin/set-role", userId=user_id, role="member")

    assert let_in.status == 200
    assert (await mo.get("/admin")).status == 403


async def test_a_bearer_token_does_not_go_next_to_the_cookie(live: Live) -> None:
    browser = await signed_in(live)

    reply = await browser.get("/dashboard", Authorization="Bearer of-somebody-else")

    assert reply.status == 302
    assert "reason=two_credentials" in (reply.one("Location") or "")


async def test_who_revoked_all_his_sessions_is_unauthenticated(live: Live) -> None:
    mo, other = await signed_in(live), await signed_in(live)

    await call(mo, "revoke-sessions")

    assert [await is_anonymous(each) for each in (mo, other)] == [True, True]


async def test_a_new_password_ends_the_other_sessions(live: Live) -> None:
    mo, thief = await signed_in(live), await signed_in(live)
    new = "another hunter thirteen"

    await call(
        mo,
        "change-password",
        currentPassword=MO["password"],
        newPassword=new,
        revokeOtherSessions=True,
    )
    try:
        assert await is_anonymous(thief)
        assert not await is_anonymous(mo)
    finally:
        await call(
            mo, "change-password", currentPassword=new, newPassword=MO["password"]
        )


async def test_a_ban_holds_whatever_a_request_in_flight_writes_back(live: Live) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    user_id = headers_of(await mo.get("/dashboard"))["x-auth-user-id"]
    report = asyncio.create_task(live.past_the_gateway(mo).get("/dashboard/report"))
    await live.report_has_started()

    await call(ada, "admin/ban-user", userId=user_id)
    try:
        await live.let_the_report_finish()
        await report
        record = json.loads(await stored(live, live.library.key(mo)))
        assert record["user"]["banned"] is False  # as it was read before the ban
        assert await is_anonymous(mo)
    finally:
        await call(ada, "admin/unban-user", userId=user_id)
    again = await signed_in(live)
    assert not await is_anonymous(again)


async def test_a_user_who_was_removed_stays_so(live: Live) -> None:
    ada, eve = await signed_in(live, ADA), live.browser()
    made = await call(
        ada,
        "admin/create-user",
        email="eve@example.com",
        password="eve's own password",
        name="Eve",
    )
    eve_s = {"email": "eve@example.com", "password": "eve's own password"}
    await live.library.signing.sign_in(eve, eve_s)
    report = asyncio.create_task(live.past_the_gateway(eve).get("/dashboard/report"))
    await live.report_has_started()

    await call(ada, "admin/remove-user", userId=made["user"]["id"])
    await live.let_the_report_finish()
    await report

    assert await live.store.exists(live.library.key(eve))
    assert await is_anonymous(eve)


async def test_an_admin_who_impersonates_a_user_is_the_user_and_then_himself_again(
    live: Live,
) -> None:
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    own = headers_of(await ada.get("/dashboard"))["x-auth-user-id"]
    user = headers_of(await mo.get("/dashboard"))["x-auth-user-id"]
    before = copy_of(ada)

    await call(ada, "admin/impersonate-user", userId=user)
    seen = headers_of(await ada.get("/dashboard"))
    record = await session_of(live, ada)
    refused = await ada.get("/admin")

    assert (seen["x-auth-user-id"], seen["x-auth-role"]) == (user, "member")
    assert record["impersonatedBy"] == own
    assert refused.status == 403  # with the rights of the user, no more
    # The admin's session waits; it is not the one that was left.
    assert headers_of(await before.get("/dashboard"))["x-auth-user-id"] == own
    impersonating = copy_of(ada)

    await call(ada, "admin/stop-impersonating")

    assert headers_of(await ada.get("/admin"))["x-auth-user-id"] == own
    assert await is_anonymous(impersonating)
    assert not await is_anonymous(mo)


@pytest.mark.parametrize("members", ["traits", "deny"])
async def test_an_impersonated_session_is_forwarded_or_refused_as_the_page_shows(
    live: Live, members: str
) -> None:
    shown = yaml.safe_load(
        block_of("docs/examples/better-auth/README.md", "Impersonation", "yaml")
    )
    profile = shown["sessions"]["profile"]
    ada, mo = await signed_in(live, ADA), await signed_in(live)
    own = headers_of(await ada.get("/dashboard"))["x-auth-user-id"]
    user = headers_of(await mo.get("/dashboard"))["x-auth-user-id"]
    config = yaml.safe_load(live.gateway.path.read_text())
    config["sessions"].setdefault("profile", {})
    if members == "traits":
        config["sessions"]["profile"] |= profile
        config["identity_headers"] = shown["identity_headers"]
    else:
        [path] = profile["traits"].values()
        denied = config["sessions"]["profile"].get("deny", [])
        config["sessions"]["profile"]["deny"] = [*denied, path]

    live.gateway.path.write_text(yaml.safe_dump(config))
    assert await live.gateway.app.reload()
    await call(ada, "admin/impersonate-user", userId=user)

    if members == "deny":
        assert await is_anonymous(ada)
        assert not await is_anonymous(mo)
    else:
        assert headers_of(await ada.get("/dashboard"))["x-impersonated-by"] == own
        assert "x-impersonated-by" not in headers_of(await mo.get("/dashboard"))
