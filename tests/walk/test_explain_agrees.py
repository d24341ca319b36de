"""`gateway explain` and the running gateway never differ: they ask the same functions."""

import asyncio
import re
from itertools import product
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gateway.cli import cli
from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    an_admin,
    ask,
)

TARGETS = (
    "/",
    "/dashboard",
    "/dashboard?a=b",
    "/admin/users",
    "/auth/login",
    "/api/x",
    "/static/x.css",
    "/a%2Fb",
    "/a//b",
    "/nothing/at/all",
    "/.gateway/nothing",
    "/.gateway/logout",
)
METHODS = ("GET", "POST", "DELETE", "OPTIONS")


def explained(
    config: Path, method: str, target: str, who: str
) -> tuple[bool, set[int]]:
    """Whether the request would pass, and every status that a caller would get."""
    result = CliRunner().invoke(
        cli,
        ["explain", method, target, "--as", who, "--host", "gw.test"]
        + ["-c", str(config)],
    )
    assert result.exit_code in {0, 1}, result.output
    statuses = re.findall(r"(?:gets |none: |refused +|: )(\d{3})\b", result.output)
    return result.exit_code == 0, {int(status) for status in statuses}


@pytest.mark.parametrize("who", ["anonymous", "member", "admin"])
async def test_what_explain_shows_is_what_happens(
    who: str,
    gateway: Gateway,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    config = tmp_path / "explained.yaml"
    document = yaml.safe_load(gateway.path.read_text())
    document["redis"] = document.get("redis", {}) | {"url": redis.url}
    config.write_text(yaml.safe_dump(document))
    subject = "anonymous"
    cookie: dict[str, str] = {}
    if who != "anonymous":
        changes = an_admin() if who == "admin" else {}
        subject = f"explained-{who}"
        cookie = {"Cookie": await gateway.sign_in(session_id=subject, **changes)}

    seen = set()
    for method, target in product(METHODS, TARGETS):
        before = len(upstream.seen)
        statuses: set[int] = set()
        for caller in (BROWSER, PROGRAM):
            reply = await ask(gateway.port, method, target, caller | cookie)
            statuses.add(reply.status)
        forwarded = len(upstream.seen) > before
        passes, foretold = await asyncio.to_thread(
            explained, config, method, target, subject
        )

        seen.add(passes)
        local = target.startswith("/.gateway") and passes
        assert passes is forwarded or local, (method, target, statuses)
        if not passes:
            assert statuses <= foretold, (method, target, statuses, foretold)
    assert seen == {True, False}
