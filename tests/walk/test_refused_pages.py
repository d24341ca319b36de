"""A browser whose request is not valid gets a page, a program problem+json."""

from pathlib import Path

import pytest

from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    ask,
    base_config,
    running_gateway,
)

# Fields that no browser sends, in a request that otherwise looks like one.
INVALID = [
    pytest.param("GET", "/a//b", {}, 400, "bad_target", id="path"),
    pytest.param("GET", "/a%2Fb", {}, 400, "bad_target", id="escape"),
    pytest.param("GET", "/a%00<script>", {}, 400, "bad_target", id="script"),
    pytest.param("GET", "/", {"Expect": "more"}, 417, "bad_expectation", id="expect"),
    pytest.param("TRACE", "/", {}, 405, "method_not_allowed", id="method"),
    pytest.param(
        "POST", "/", {"Content-Length": "99999999"}, 413, "body_too_large", id="upload"
    ),
    pytest.param(
        "GET",
        "/",
        {f"X-Long-{number}": "x" * 7_000 for number in range(5)},
        431,
        "headers_too_large",
        id="fields",
    ),
]


@pytest.mark.parametrize(("method", "target", "fields", "status", "reason"), INVALID)
async def test_a_browser_sees_a_page_and_a_program_a_problem(
    method: str,
    target: str,
    fields: dict[str, str],
    status: int,
    reason: str,
    gateway: Gateway,
) -> None:
    page = await ask(gateway.port, method, target, BROWSER | fields)
    script = BROWSER | {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    problems = [
        await ask(gateway.port, method, target, caller | fields)
        for caller in (PROGRAM, script)
    ]

    assert page.status == status
    assert page.present("Content-Type") == "text/html; charset=utf-8"
    assert b"<script" not in page.body
    assert target.encode() not in page.body or target == "/"
    for problem in problems:
        assert problem.status == status
        assert problem.present("Content-Type") == "application/problem+json"
        assert problem.json()["reason"] == reason
    assert all(reply.one("Connection") == "close" for reply in (page, *problems))


@pytest.mark.parametrize(
    "fields",
    [
        {"Accept: text/html\x01": "x"},
        {"Accept": "text/html", "Bad Name": "x"},
        {"Accept": "text/html", "X-Forwarded-For": "a\x00b"},
    ],
)
async def test_fields_that_cannot_be_read_say_nothing_of_their_sender(
    fields: dict[str, str], gateway: Gateway
) -> None:
    reply = await ask(gateway.port, "GET", "/a//b", fields)

    assert reply.status == 400
    assert reply.present("Content-Type") == "application/problem+json"


async def test_the_page_of_a_folder_of_templates_is_used(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "error.html").write_text("<p>Acme says {{ status }}")
    config = base_config(upstream.port)
    config["pages"] = {"folder": str(tmp_path / "pages")}

    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await ask(gateway.port, "GET", "/a//b", BROWSER)

    assert reply.body == b"<p>Acme says 400"
