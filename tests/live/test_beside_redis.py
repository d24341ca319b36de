"""What an app knows and Redis does not: the gateway has to be result."""

import pytest

from tests.live.libraries import DJANGO, FLASK, parameters
from tests.live.running import MO
from tests.live.walking import Live, headers_of, is_anonymous, signed_in


@pytest.mark.parametrize("library", parameters(DJANGO), scope="session")
async def test_django_knows_of_a_new_password_and_redis_does_not(live: Live) -> None:
    browser = await signed_in(live)
    user_id = headers_of(await browser.get("/dashboard"))["x-auth-user-id"]

    await live.browser().get(f"/set-password?email={MO['email']}&password=other")
    try:
        page = await browser.get("/dashboard")
        assert headers_of(page)["x-auth-user-id"] == user_id
        assert page.json()["me"] is None

        await live.admin("DELETE", f"/admin/identities/{user_id}/sessions")

        assert await is_anonymous(browser)
    finally:
        await live.browser().get(
            f"/set-password?email={MO['email']}&password={MO['password']}".replace(
                " ", "%20"
            )
        )


@pytest.mark.parametrize("library", parameters(FLASK), scope="session")
async def test_flask_login_leaves_the_roles_and_they_are_nobodys(live: Live) -> None:
    browser = await signed_in(live)
    key = live.library.key(browser)

    await live.library.signing.sign_out(browser)

    left = await live.store.get(key)
    assert isinstance(left, bytes)
    assert b"roles" in left
    assert b"_user_id" not in left
    assert await is_anonymous(browser)
    assert "x-auth-role" not in headers_of(await browser.get("/"))
