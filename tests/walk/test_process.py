"""The gateway as a process: started, told, reloaded, killed and drained."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import PATIENCE, SOON, Server, free_port
from tests.walk.harness import (
    ADMIN_TOKEN,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    Seen,
    answer_ok,
    ask,
    base_config,
    connected,
    until,
)

STARTED = "listening"


@dataclass
class Process:
    """A `gateway run` and what it has said."""

    process: asyncio.subprocess.Process
    port: int
    admin: int
    config: dict[str, Any]
    path: Path
    output: list[dict[str, Any]]
    more: asyncio.Condition

    async def logged(self, message: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until a log line has been written `count` times."""
        async with asyncio.timeout(PATIENCE), self.more:
            while len(found := self._found(message)) < count:
                await self.more.wait()
        return found

    def _found(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.output if line.get("message") == message]

    def write(self, config: dict[str, Any]) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(config))
        fresh.replace(self.path)


@asynccontextmanager
async def gateway_process(
    config: dict[str, Any],
    folder: Path,
    redis_url: str,
    program: Sequence[str] = ("-m", "gateway", "run", "-c"),
) -> AsyncIterator[Process]:
    port, admin = free_port(), free_port()
    config["server"] |= {
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{admin}",
        "admin_token": ADMIN_TOKEN,
    }
    config["redis"] |= {"url": redis_url}
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Process(process, port, admin, config, path, [], asyncio.Condition())

    async def listen() -> None:
        assert process.stdout
        while line := await process.stdout.readline():
            with contextlib.suppress(ValueError):
                running.output.append(json.loads(line))
            async with running.more:
                running.more.notify_all()

    listener = asyncio.create_task(listen())
    try:
        await running.logged(STARTED, config["server"].get("workers", 1))
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await process.wait()
            await listener


async def create_session(running: Process, **changes: Any) -> str:
    document = {
        "identity": {"id": "u1", "roles": ["member"]},
        "tenants": {"t1": {"name": "One", "role": "owner"}},
    } | changes
    reply = await ask(
        running.admin,
        "POST",
        "/admin/sessions",
        {"Authorization": f"Bearer {ADMIN_TOKEN}"},
        json.dumps(document).encode(),
    )
    assert reply.status == 201, reply.body
    return str(reply.json()["set_cookie"]).partition(";")[0]


async def test_it_starts_serves_and_stops_with_zero(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    async with gateway_process(
        base_config(upstream.port), tmp_path, redis.url
    ) as running:
        cookie = await create_session(running)
        reply = await ask(running.port, "GET", "/dashboard", {"Cookie": cookie})
        ready = await ask(running.admin, "GET", "/readyz?verbose")
        live = await ask(running.admin, "GET", "/livez")

        assert (reply.status, ready.status, live.status) == (200, 200, 200)
        assert b"redis ok" in ready.body
    assert running.process.returncode == 0


async def test_sigterm_lets_a_running_request_finish_and_takes_no_new_one(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await answer_ok(seen, writer)

    upstream.answer = slow
    async with gateway_process(
        base_config(upstream.port), tmp_path, redis.url
    ) as running:
        request = asyncio.create_task(ask(running.port, "GET", "/slow"))
        await upstream.arrived.wait()

        running.process.send_signal(signal.SIGTERM)
        await _refuses_connections(running.port)
        release.set()
        reply = await request

        assert reply.status == 200
        async with asyncio.timeout(PATIENCE):
            assert await running.process.wait() == 0


@pytest.mark.parametrize("used", [True, False], ids=["kept", "new"])
async def test_an_open_connection_has_its_last_request_answered_while_it_stops(
    gateway: Gateway, used: bool
) -> None:
    async with connected(gateway.port) as client:
        if used:
            await client.send(b"GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n")
            assert (await client.reply()).status == 200
        await client.send(b"GET /b HTTP/1.1\r\n")
        await until(lambda: gateway.app._process.client_server.open)
        stopping = asyncio.create_task(gateway.app.drain())
        await asyncio.sleep(0)

        await client.send(b"Host: gw.test\r\n\r\n")
        reply = await client.reply()

        assert (reply.status, reply.one("Connection")) == (200, "close")
        assert await client.silence() == b""
        await asyncio.wait_for(stopping, PATIENCE)


async def test_an_idle_connection_does_not_hold_up_the_end(gateway: Gateway) -> None:
    async with connected(gateway.port) as client:
        await until(lambda: gateway.app._process.client_server.open)

        async with asyncio.timeout(SOON):  # far below server.timeouts.drain
            await gateway.app.drain()

        assert await client.silence() == b""


async def _refuses_connections(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()


async def test_sighup_brings_new_rules_and_keeps_open_connections(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    async with gateway_process(config, tmp_path, redis.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}")

        config["routes"][0]["rule"] = "protected"
        running.write(config)
        running.process.send_signal(signal.SIGHUP)
        await running.logged("configuration reloaded")
        writer.write(b"GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n")

        assert b"401 Unauthorized" in await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_a_changed_file_is_read_without_a_signal(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    async with gateway_process(config, tmp_path, redis.url) as running:
        config["routes"][0]["rule"] = "protected"
        running.write(config)
        await running.logged("configuration reloaded")

        reply = await ask(running.port, "GET", "/a", PROGRAM)

        assert reply.status == 401


CHANGED_WHILE_IT_STARTS = """
import sys
from pathlib import Path
from gateway.config.load import load_config
from gateway.workers import Launch, run

path = Path(sys.argv[1])

def change():
    path.write_text(path.read_text().replace("rule: public", "rule: protected", 1))

sys.exit(run(Launch(loaded=load_config(path, env={}), env={}, on_ready=change)))
"""


async def test_a_file_that_changes_while_the_gateway_starts_is_read_again(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    program = ("-c", CHANGED_WHILE_IT_STARTS)
    async with gateway_process(config, tmp_path, redis.url, program) as running:
        await running.logged("configuration reloaded")

        reply = await ask(running.port, "GET", "/a", PROGRAM)

        assert reply.status == 401


@pytest.mark.parametrize(
    "bad",
    [
        "version: 1\nroutes: [",
        "version: 1\nupstreams: {}\nroutes: []\n",
        "",
        "version: 1\nupstreams: {a: {url: 'http://127.0.0.1:1'}}\n"
        "routes: [{match: '/**', rule: public, upstream: b}]\n",
    ],
)
async def test_a_bad_file_changes_nothing_and_reports_it(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path, bad: str
) -> None:
    async with gateway_process(
        base_config(upstream.port), tmp_path, redis.url
    ) as running:
        running.path.write_text(bad)
        running.process.send_signal(signal.SIGHUP)
        await running.logged("configuration refused")
        problems = await running.logged("configuration reload failed")

        reply = await ask(running.port, "GET", "/a", PROGRAM)
        metrics = await ask(running.admin, "GET", "/metrics")

        assert reply.status == 200
        assert "gateway.yaml" in problems[0]["problem"]
        assert b"gateway_config_last_reload_successful 0.0" in metrics.body


async def test_a_key_rotation_shows_in_the_jwks_at_once(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    from gateway.tokens.key_files import new_key

    folder = tmp_path / "keys"
    first = new_key(folder, "ES256", time.time())
    config = base_config(upstream.port)
    config["tokens"]["keys"] = str(folder)
    async with gateway_process(config, tmp_path, redis.url) as running:
        second = new_key(folder, "ES256", time.time())
        await running.logged("configuration reloaded")

        jwks = (await ask(running.port, "GET", "/.gateway/jwks.json")).json()
        cookie = await create_session(running)
        await ask(running.port, "GET", "/api/x", {"Cookie": cookie})

        assert {key["kid"] for key in jwks["keys"]} == {first.kid, second.kid}
        token = upstream.last.present("Authorization").removeprefix("Bearer ")
        import jwt

        assert jwt.get_unverified_header(token)["kid"] == first.kid


async def test_workers_share_the_port_and_a_dead_one_is_replaced(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["server"]["workers"] = 2
    async with gateway_process(config, tmp_path, redis.url) as running:
        workers = [line["pid"] for line in await running.logged(STARTED, 2)]
        assert len(set(workers)) == 2
        jwks = {
            (await ask(running.port, "GET", "/.gateway/jwks.json")).body
            for _ in range(8)
        }
        assert len(jwks) == 1
        cookie = await create_session(running)
        for _ in range(20):
            reply = await ask(running.port, "GET", "/api/x", {"Cookie": cookie})
            assert reply.status == 200

        os.kill(workers[0], signal.SIGKILL)
        lines = await running.logged(STARTED, 3)

        assert lines[2]["pid"] not in workers
        for _ in range(10):
            reply = await ask(running.port, "GET", "/api/x", {"Cookie": cookie})
            assert reply.status == 200
    assert running.process.returncode == 0


@pytest.mark.parametrize(
    ("rule", "message", "outcome"),
    [
        ("protected", "configuration reloaded", "success"),
        ("proctected", "configuration reload failed", "failure"),
    ],
)
async def test_a_reload_is_audited_once_however_many_workers_there_are(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    rule: str,
    message: str,
    outcome: str,
) -> None:
    config = base_config(upstream.port)
    config["server"]["workers"] = 3
    async with gateway_process(config, tmp_path, redis.url) as running:
        config["routes"][0]["rule"] = rule
        running.write(config)
        # A worker writes its audit event first.
        await running.logged(message, 3)

        audited = [
            line["event.outcome"]
            for line in running.output
            if line.get("event.action") == "sys_config_reload"
        ]
        assert audited == [outcome]


async def test_any_worker_answers_a_scrape_for_all(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["server"]["workers"] = 2
    async with gateway_process(config, tmp_path, redis.url) as running:
        for _ in range(30):
            await ask(running.port, "GET", "/a")

        async with asyncio.timeout(PATIENCE):
            while True:
                body = (await ask(running.admin, "GET", "/metrics")).body.decode()
                counts = [
                    float(line.rpartition(" ")[2])
                    for line in body.splitlines()
                    if line.startswith("gateway_requests_total")
                    and 'route="/**"' in line
                ]
                if sum(counts) == 30:
                    return


async def test_the_admin_api_creates_shows_extends_and_ends_sessions(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["sessions"] = {"extend_within": "6h"}
    async with gateway_process(config, tmp_path, redis.url) as running:
        token = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        cookie = await create_session(running, identity={"id": "u_admin_api"})
        listed = await ask(
            running.admin, "GET", "/admin/identities/u_admin_api/sessions", token
        )
        (session,) = listed.json()
        place = f"/admin/sessions/{session['id']}"

        shown = await ask(running.admin, "GET", place, token)
        extended = await ask(running.admin, "PATCH", f"{place}/extend", token)
        ended = await ask(running.admin, "DELETE", place, token)
        reply = await ask(
            running.port, "GET", "/dashboard", PROGRAM | {"Cookie": cookie}
        )

        assert shown.json()["identity"]["id"] == "u_admin_api"
        assert extended.json()["expires_at"] >= session["expires_at"]
        assert ended.status == 204
        assert (reply.status, reply.json()["reason"]) == (401, "session_revoked")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {ADMIN_TOKEN}"}, 401),
        ({"Authorization": f"Bearer {ADMIN_TOKEN}x"}, 401),
        ({"Authorization": f"Bearer {ADMIN_TOKEN}"}, 404),
    ],
)
async def test_the_admin_api_needs_its_token(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    headers: dict[str, str],
    status: int,
) -> None:
    async with gateway_process(
        base_config(upstream.port), tmp_path, redis.url
    ) as running:
        reply = await ask(running.admin, "GET", "/admin/sessions/nobody", headers)

        assert reply.status == status


async def test_readyz_reports_that_redis_is_away(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    anonymous = f"redis://127.0.0.1:{free_port()}/0"
    async with gateway_process(
        base_config(upstream.port), tmp_path, anonymous
    ) as running:
        ready = await ask(running.admin, "GET", "/readyz")
        live = await ask(running.admin, "GET", "/livez")

        assert (ready.status, live.status) == (503, 200)
        assert b"[-]redis failed" in ready.body


async def run_cli(*words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_healthcheck_follows_readyz(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    async with gateway_process(
        base_config(upstream.port), tmp_path, redis.url
    ) as running:
        code, out = await run_cli("healthcheck", "-c", str(running.path))
        assert (code, out) == (0, "ok\n")
    code, out = await run_cli("healthcheck", "-c", str(running.path))
    assert code == 1
    assert "no response" in out


async def test_a_taken_port_is_reported_in_one_line(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    async with gateway_process(
        base_config(upstream.port), tmp_path, redis.url
    ) as running:
        code, out = await run_cli("run", "-c", str(running.path))

        assert code == 1
        assert "Traceback" not in out
        assert out == (
            f"error: cannot listen on 127.0.0.1:{running.port}:"
            " address already in use\n"
        )


async def test_a_missing_file_is_reported_in_one_line(tmp_path: Path) -> None:
    code, out = await run_cli("run", "-c", str(tmp_path / "nothing.yaml"))

    assert code == 1
    assert "nothing.yaml" in out
    assert "Traceback" not in out


async def test_the_pure_python_parser_is_refused(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["redis"] = {"url": redis.url}
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run", "-c", str(path)),
        env=os.environ | {"AIOHTTP_NO_EXTENSIONS": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()

    assert process.returncode == 1
    assert b"without its C parser" in out
    assert b"Traceback" not in out
