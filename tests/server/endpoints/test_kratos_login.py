"""Ory's clients begin a sign-in at their own addresses and arrive at `sign_in.url`."""

import pytest

from gateway.server.endpoints.kratos_login import login_page
from gateway.spine.answers import Redirect
from gateway.spine.local_paths import Endpoint, endpoint_of
from tests.http.heads import head
from tests.server.parts import a_context

PATHS = ["/.gateway/ui/login", "/.gateway/self-service/login/browser"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("query", "back"),
    [
        ("", "/dashboard"),
        ("?return_to=/x%3Fa%3Db&refresh=true", "/x%3Fa%3Db"),
        ("?return_to=https://evil.test/", "/dashboard"),
        ("?return_to=//evil.test", "/dashboard"),
        ("?return_to=/a&return_to=/b", "/dashboard"),
    ],
)
async def test_a_sign_in_begins_at_the_sign_in_page(
    path: str, query: str, back: str
) -> None:
    answer = await login_page(a_context(head(target=path + query)))

    assert endpoint_of("GET", path) is Endpoint.LOGIN_PAGE
    assert isinstance(answer.reply, Redirect)
    assert answer.reply.location.startswith("/auth/login?")
    assert f"return_to={back}&" in answer.reply.location
