"""git and curl with an access token: clone, push, and the end of it."""

import asyncio
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.servers import PATIENCE, Server
from tests.walk.harness import RecordingUpstream, Seen, base_config, running_gateway
from tests.walk.test_programs import issue

pytestmark = pytest.mark.needs("git", "curl")

QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ci",
    "GIT_AUTHOR_EMAIL": "ci@example.com",
    "GIT_COMMITTER_NAME": "Ci",
    "GIT_COMMITTER_EMAIL": "ci@example.com",
}


async def run(
    folder: Path, *words: str, env: Mapping[str, str] | None = None, given: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Run a program to its end."""
    # In a thread: uvloop fails if a program ends before its input was written.
    done = await asyncio.to_thread(
        subprocess.run,
        words,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **QUIET, **(env or {})},
        input=given,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


async def git(folder: Path, *words: str) -> bytes:
    status, out, errors = await run(folder, "git", *words)
    assert status == 0, errors.decode()
    return out


def http_backend(root: Path) -> RecordingUpstream:
    """An upstream that is git's own server; the user is whom the gateway names."""

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        path, _, query = seen.target.partition("?")
        env = {
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": seen.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": seen.one("Content-Type") or "",
            "CONTENT_LENGTH": str(len(seen.body)),
            "HTTP_CONTENT_ENCODING": seen.one("Content-Encoding") or "",
            "GIT_PROTOCOL": seen.one("Git-Protocol") or "",
            "REMOTE_USER": seen.one("X-Auth-User-Id") or "",
        }
        _, out, errors = await run(
            root, "git", "http-backend", env=env, given=seen.body
        )
        head, _, body = out.partition(b"\r\n\r\n")
        assert head, errors
        first, *rest = head.split(b"\r\n")
        status = first.partition(b": ")[2] if first.startswith(b"Status") else b"200 OK"
        fields = rest if first.startswith(b"Status") else [first, *rest]
        lines = [b"HTTP/1.1 " + status, *fields, b"Content-Length: %d" % len(body)]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        await writer.drain()

    return RecordingUpstream(answer=answer)


async def test_git_clones_and_pushes_until_its_token_is_revoked(
    redis: Server, tmp_path: Path
) -> None:
    root, work = tmp_path / "root", tmp_path / "work"
    root.mkdir()
    work.mkdir()
    await git(root, "init", "--quiet", "--bare", "--initial-branch=main", "p.git")
    upstream = http_backend(root)
    await upstream.start()
    config = base_config(upstream.port)
    config["routes"] = [
        {
            "match": "/**",
            "rule": "protected",
            "upstream": "web",
            "credentials": ["cookie", "basic"],
        }
    ]
    try:
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            token, session = await issue(gateway)
            host = f"127.0.0.1:{gateway.port}"
            url = f"http://ci:{token.value}@{host}/p.git"

            without = await run(work, "git", "clone", f"http://{host}/p.git", "no")
            await git(work, "clone", "--quiet", url, "here")
            (work / "here" / "a.txt").write_bytes(os.urandom(300_000))
            await git(work / "here", "checkout", "--quiet", "-b", "main")
            await git(work / "here", "add", "a.txt")
            await git(work / "here", "commit", "--quiet", "-m", "one")
            await git(work / "here", "push", "--quiet", url, "main")
            await git(work, "clone", "--quiet", url, "again")
            seen = [each.one("X-Auth-User-Id") for each in upstream.complete]
            await gateway.app.services.tokens.end(token.key, time.time())
            after = await run(work / "again", "git", "fetch")
            lines = await gateway.logged()
    finally:
        await upstream.stop()

    assert without[0] == 128
    assert b"could not read Username" in without[2]
    assert await git(work / "again", "log", "--format=%s") == b"one\n"
    assert set(seen) == {session.identity.id}
    assert after[0] == 128
    assert b"Authentication failed" in after[2]
    assert not any(each.one("Authorization") for each in upstream.complete)
    kinds = {line.get("gateway.credential") for line in lines if "url.path" in line}
    assert kinds == {None, "basic"}


async def test_curl_sends_a_token_in_both_ways(
    redis: Server, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    for route in config["routes"]:
        if route["match"] == "/dashboard/**":
            route["credentials"] = ["bearer", "basic"]
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        token, _ = await issue(gateway)
        url = f"http://127.0.0.1:{gateway.port}/dashboard"
        show = ("-s", "-o", "/dev/null", "-w", "%{http_code}")
        ways = (
            ("-H", f"Authorization: Bearer {token.value}"),
            ("--user", f"ci:{token.value}"),
            ("--anyauth", "--user", f"ci:{token.value}"),
            ("--user", f"ci:{token.value}", "--upload-file", "-"),
            ("--oauth2-bearer", token.value),
            (),
        )
        statuses = [
            (await run(tmp_path, "curl", *show, *way, url, given=b"x"))[1]
            for way in ways
        ]

    assert statuses == [b"200", b"200", b"200", b"200", b"200", b"401"]
