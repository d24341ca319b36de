"""Run all parts of `gateway demo` and stop them in order."""

import asyncio
import base64
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.demo.accounts import ACCOUNTS
from gateway.demo.api import NotesApi
from gateway.demo.app import sample_app
from gateway.demo.bearer import GatewayKeys
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.provider_process import SIGN_IN, EmbeddedProvider, with_provider
from gateway.embedded.child import dying_with_us
from gateway.embedded.redis import EmbeddedRedis
from gateway.errors import EmbeddedUnavailable

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the listeners of the demo are, all on 127.0.0.1."""

    gateway: int
    admin: int
    app: int
    api: int
    provider: int = 4000


def demo_file(installed: str, checkout: str) -> Path:
    """Find a file of the demo: in the installed package, else in the checkout."""
    inside = _HERE / installed
    return inside if inside.exists() else _ROOT / checkout


def free_ports(wanted: Ports) -> Ports:
    """Return the wanted ports, each replaced by a free one where it is taken."""
    with contextlib.ExitStack() as held:
        return Ports(
            gateway=_port(wanted.gateway, held),
            admin=_port(wanted.admin, held),
            app=_port(wanted.app, held),
            api=_port(wanted.api, held),
            provider=_port(wanted.provider, held),
        )


async def run_demo(
    *,
    wanted: Ports,
    env: Mapping[str, str],
    say: Callable[[str], None],
    oidc: bool = False,
) -> int:
    """Run the demo until SIGINT or SIGTERM; return the exit code.

    With `oidc` an identity provider signs users in, instead of the form of the app.

    Raises:
        EmbeddedUnavailable: Redis or the provider cannot be started. Without PostgreSQL the demo
            runs on; its API then answers 503 with the cause.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ports = free_ports(wanted)
    # A published one would be known to every page that finds a way to the listener.
    admin_token = env.get("GATEWAY_ADMIN_TOKEN") or f"demo-{secrets.token_urlsafe(24)}"
    for name in ("gateway", "admin", "app", "api", *(("provider",) if oidc else ())):
        requested, given = getattr(wanted, name), getattr(ports, name)
        if requested != given:
            say(f"Port {requested} is taken; the {name} listens on {given}.")

    with contextlib.ExitStack() as servers:
        # First: without it nothing else is worth starting.
        config, more = _configuration(servers, ports, env, oidc=oidc)
        redis = servers.enter_context(EmbeddedRedis())
        dsn, unavailable = _database(servers)
        if unavailable:
            say(f"No notes in this demo: {unavailable}")
        keys = GatewayKeys(f"http://localhost:{ports.gateway}/.gateway/jwks.json")
        api = NotesApi(dsn=dsn, keys=keys, unavailable=unavailable)
        async with (
            _serving(sample_app(SIGN_IN if oidc else "/auth/login"), ports.app),
            _serving(api.app(), ports.api),
            _gateway(config, ports, redis.url, admin_token, {**env, **more}) as gateway,
        ):
            welcome = _welcome(ports, admin_token, notes=not unavailable, oidc=oidc)
            await _wait(gateway, stop, _ready(ports.admin), lambda: say(welcome))
            if stop.is_set():
                return 0
            say(
                "The gateway has ended unexpectedly."
                if gateway.returncode is not None
                else f"The gateway was not ready within {_START_SECONDS:.0f} s."
            )
            return 1


async def _wait(
    gateway: asyncio.subprocess.Process,
    stop: asyncio.Event,
    becoming_ready: Coroutine[None, None, None],
    on_ready: Callable[[], None],
) -> None:
    """Return when the gateway has ended, is not ready in time, or `stop` is set."""
    ended = asyncio.ensure_future(gateway.wait())
    stopped = asyncio.ensure_future(stop.wait())
    ready = asyncio.ensure_future(becoming_ready)
    await asyncio.wait(
        {ended, stopped, ready},
        timeout=_START_SECONDS,
        return_when=asyncio.FIRST_COMPLETED,
    )
    if ready.done():
        on_ready()
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (ready, stopped, ended):
        task.cancel()
    await asyncio.gather(ready, stopped, ended, return_exceptions=True)


def _configuration(
    servers: contextlib.ExitStack, ports: Ports, env: Mapping[str, str], *, oidc: bool
) -> tuple[Path, dict[str, str]]:
    """Return the configuration file, and the variables that it needs, too.

    Raises:
        EmbeddedUnavailable: the provider cannot be started.
    """
    plain = demo_file("demo.yaml", "config/demo.yaml")
    if not oidc:
        return plain, {}
    address = f"http://localhost:{ports.gateway}"
    provider = servers.enter_context(EmbeddedProvider(ports.provider, address, env))
    folder = Path(servers.enter_context(tempfile.TemporaryDirectory()))
    config = folder / "demo-oidc.yaml"
    config.write_text(with_provider(plain.read_text(encoding="utf-8")))
    return config, {
        "DEMO_ISSUER": provider.issuer,
        "DEMO_CLIENT_SECRET": provider.secret,
        "DEMO_ENCRYPTION_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    }


def _database(servers: contextlib.ExitStack) -> tuple[str | None, str]:
    """Start PostgreSQL: how to connect, or None and why not."""
    files = sorted(demo_file("sql", "deploy/postgres").glob("*.sql"))
    try:
        postgres = servers.enter_context(EmbeddedPostgres(files))
    except EmbeddedUnavailable as error:
        return None, str(error)
    return postgres.dsn("authenticator"), ""


@contextlib.asynccontextmanager
async def _serving(app: web.Application, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _gateway(
    config: Path,
    ports: Ports,
    redis_url: str,
    admin_token: str,
    env: Mapping[str, str],
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *dying_with_us(
            [sys.executable, "-m", "gateway", "run", "-c", str(config)],
            sent=signal.SIGTERM,
        ),
        env={
            **env,
            "REDIS_URL": redis_url,
            "GATEWAY_ADMIN_TOKEN": admin_token,
            "DEMO_PORT": str(ports.gateway),
            "DEMO_ADMIN_PORT": str(ports.admin),
            "DEMO_APP_PORT": str(ports.app),
            "DEMO_API_PORT": str(ports.api),
        },
        stdin=asyncio.subprocess.DEVNULL,
        process_group=0,  # Ctrl-C reaches this process alone, which stops it below
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def _ready(admin_port: int) -> None:
    """Return once the gateway reports that it is ready."""
    timeout = aiohttp.ClientTimeout(total=2)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                url = f"http://127.0.0.1:{admin_port}/readyz"
                async with client.get(url) as answer:
                    if answer.ok:
                        return
            await asyncio.sleep(0.05)


def _port(wanted: int, held: contextlib.ExitStack) -> int:
    """Hold `wanted` or a free port until all are chosen."""
    for port in (wanted, 0):
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.callback(probe.close)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EmbeddedUnavailable("there is no free port on 127.0.0.1")


def _welcome(ports: Ports, admin_token: str, *, notes: bool, oidc: bool) -> str:
    people = "\n".join(
        f"    {each.email:20} {'' if oidc else each.password:20} {each.about}"
        for each in ACCOUNTS
    )
    issuer = f"http://127.0.0.1:{ports.provider}"
    how = (
        f"Sign in with Harbour ID ({issuer}), which offers\n"
        if oidc
        else "Sign in as\n"
    )
    address = f"http://localhost:{ports.gateway}"
    rows = "rows of the active organization" if notes else "why there are no notes"
    return f"""
  The gateway is at  {address}
  Health and metrics http://127.0.0.1:{ports.admin}/readyz?verbose  /metrics
  Admin token        {admin_token}

  {how}{people}

  Try
    {address}/dashboard     who you are to the app, token, {rows}
    {address}/admin         for Ada only
    {address}/.gateway/jwks.json   the keys that the API verifies tokens with
    curl -i {address}/dashboard -H 'Accept: application/json'

  Requests are not logged here, unless DEMO_ACCESS_LOG=true is set.
  Ctrl-C stops everything; nothing is kept.
"""
