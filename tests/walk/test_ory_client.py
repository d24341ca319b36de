"""The published Ory SDK, unmodified, against the gateway."""

import asyncio
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

from gateway.sessions.record import Device
from tests.npm import node_modules, unpinned
from tests.servers import PATIENCE
from tests.walk.harness import BROWSER, PROGRAM, Gateway, ask

pytestmark = pytest.mark.needs("node", "npm")

CALLS = Path(__file__).parent / "ory"


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder where npm has installed the SDK that the lock file names."""
    folder = tmp_path_factory.mktemp("ory")
    shutil.copy(CALLS / "calls.mjs", folder)
    installed = node_modules(CALLS, pytestconfig.cache.mkdir("npm"))
    (folder / "node_modules").symlink_to(installed)
    return folder


async def a_person(gateway: Gateway) -> tuple[str, str]:
    """Sign somebody in once more; gives the Cookie value and the session's id."""
    session_id = str(uuid.uuid4())
    device = Device(ip_address="203.0.113.9", user_agent="Browser/1")
    return await gateway.sign_in(session_id=session_id, device=device), session_id


async def called(sdk: Path, gateway: Gateway, *arguments: str) -> dict[str, Any]:
    base = f"http://127.0.0.1:{gateway.port}/.gateway"
    process = await asyncio.create_subprocess_exec(
        *("node", "calls.mjs", base, *arguments),
        cwd=sdk,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        output, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    answers: dict[str, Any] = json.loads(output)
    return answers


async def test_the_sdk_does_what_it_does_with_kratos(
    sdk: Path, gateway: Gateway
) -> None:
    await gateway.app.store.end_all("u_grace", 0.0, None)
    cookie, mine = await a_person(gateway)
    other_cookie, second = await a_person(gateway)
    third_cookie, third = await a_person(gateway)

    seen = await called(sdk, gateway, cookie, third)

    assert {name: answer["status"] for name, answer in seen.items()} == {
        "nobody": 401,
        "badToken": 401,
        "toSession": 200,
        "list": 200,
        "page": 200,
        "nextPage": 200,
        "own": 400,
        "odd": 400,
        "unknown": 404,
        "disable": 204,
        "afterOne": 200,
        "disableOthers": 200,
        "afterAll": 200,
        "flowElsewhere": 400,
        "flow": 200,
        "noFlow": 401,
        "wrongToken": 403,
        "logout": 204,
        "after": 401,
    }
    me = seen["toSession"]
    assert me["headers"]["x-kratos-authenticated-identity-id"] == "u_grace"
    assert (me["data"]["id"], me["data"]["active"]) == (mine, True)
    assert me["data"]["identity"]["traits"]["email"] == "grace@example.com"
    assert me["data"]["devices"][0]["user_agent"] == "Browser/1"
    assert {each["id"] for each in seen["list"]["data"]} == {second, third}
    paged = [seen[page]["data"] for page in ("page", "nextPage")]
    assert [len(page) for page in paged] == [1, 1]
    assert {page[0]["id"] for page in paged} == {second, third}
    assert [each["id"] for each in seen["afterOne"]["data"]] == [second]
    assert seen["disableOthers"]["data"] == {"count": 1}
    assert seen["afterAll"]["data"] == []
    assert seen["noFlow"]["data"]["error"]["id"] == "session_inactive"
    assert seen["after"]["data"]["error"]["details"] == {"reason": "session_revoked"}
    for gone in (cookie, other_cookie, third_cookie):
        reply = await ask(gateway.port, "GET", "/dashboard", PROGRAM | {"Cookie": gone})
        assert reply.status == 401


async def test_a_browser_that_follows_the_logout_url_is_sent_on(
    gateway: Gateway,
) -> None:
    cookie, _ = await a_person(gateway)
    flow = await ask(
        gateway.port,
        "GET",
        "/.gateway/self-service/logout/browser?return_to=/bye",
        PROGRAM | {"Cookie": cookie},
    )
    origin, _, rest = flow.json()["logout_url"].partition("/.gateway/")

    reply = await ask(
        gateway.port, "GET", f"/.gateway/{rest}", BROWSER | {"Cookie": cookie}
    )

    assert origin == "http://gw.test"
    assert (reply.status, reply.one("Location")) == (303, "/bye")
    assert "Max-Age=0" in reply.present("Set-Cookie")
    assert (
        await ask(gateway.port, "GET", "/dashboard", PROGRAM | {"Cookie": cookie})
    ).status == 401


async def test_only_our_own_pages_end_a_session(gateway: Gateway) -> None:
    cookie, _ = await a_person(gateway)
    _, other = await a_person(gateway)
    target = f"/.gateway/sessions/{other}"

    for fields in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.test"}):
        refused = await ask(
            gateway.port, "DELETE", target, PROGRAM | {"Cookie": cookie} | fields
        )
        assert refused.status == 403
    done = await ask(gateway.port, "DELETE", target, PROGRAM | {"Cookie": cookie})
    again = await ask(gateway.port, "DELETE", target, PROGRAM | {"Cookie": cookie})

    assert (done.status, done.body, again.status) == (204, b"", 204)


def test_the_lock_file_has_checksums_and_names_no_registry() -> None:
    assert unpinned(CALLS) == []
