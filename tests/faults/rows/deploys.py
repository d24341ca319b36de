"""Two instances behind nginx, restarted one after the other; and Redis over TLS."""

import asyncio
import os
import shutil
import signal
import subprocess
from functools import partial
from typing import Any

from tests.faults.load import ORDINARY
from tests.faults.sites import DURABLE, build, open_redis
from tests.faults.trial import Plan, Row, Site, Trial
from tests.proxy.certificates import Authority
from tests.servers import PATIENCE, Server, free_port

_NGINX = """
{user}
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000; client_max_body_size 100m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map $http_upgrade $kept {{ default upgrade; '' ''; }}
  upstream gateways {{ {servers} keepalive 32; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://gateways;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $kept;
      proxy_request_buffering off;
      proxy_read_timeout 60s;
    }}
  }}
}}
"""


async def behind_nginx(plan: Plan) -> Site:
    """Two gateways with one Redis, and nginx in front of both."""
    site = await build(plan, timeout="3s", count=2)
    folder = plan.folder / "nginx"
    folder.mkdir()
    port = free_port()
    servers = " ".join(
        f"server 127.0.0.1:{gateway.port} fail_timeout=1s;" for gateway in site.gateways
    )
    user = "" if os.geteuid() else "user root;"
    text = _NGINX.format(folder=folder, port=port, user=user, servers=servers)
    (folder / "conf").write_text(text)
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert program is not None
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", "conf", "-e", str(folder / "log")],
        stderr=subprocess.DEVNULL,
    )
    site.close.append(partial(_end, process))
    site.ports = [port]
    async with asyncio.timeout(PATIENCE):
        while not await _listens(port):
            await asyncio.sleep(0.01)
    return site


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(PATIENCE)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def restarted(trial: Trial) -> None:
    """Each instance ends by SIGTERM and is started again, while the other serves."""
    # The admin API is asked at the instance that is up.
    admins = trial.load.admins
    trial.fault()
    for at, gateway in enumerate(trial.site.gateways):
        trial.load.admins = [admins[1 - at]]
        gateway.signal(signal.SIGTERM)
        await gateway.ended()
        gateway.log.unlink()
        gateway.start()
        await gateway.ready()
        await trial.visits(40)
    trial.load.admins = admins
    trial.mended()
    await trial.steady()


async def over_tls(plan: Plan) -> Site:
    """A Redis that speaks TLS, with a certificate that the gateway checks."""
    folder = plan.folder
    authority = Authority(folder, "ca")
    certificate, key = authority.issue("server", "127.0.0.1")
    port = free_port()
    close: list[Any] = []
    server = open_redis(
        folder,
        close,
        *DURABLE,
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        *("--tls-ca-cert-file", str(authority.path)),
    )
    site = await build(
        plan,
        timeout="400ms",
        redis_url=f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.path}",
    )
    site.parts["redis"] = server
    site.close += close
    return site


async def frozen_then_killed(trial: Trial) -> None:
    redis: Server = trial.site.parts["redis"]
    trial.fault()
    redis.freeze()
    await trial.under_fault(0.5)
    redis.thaw()
    await trial.steady()
    await asyncio.to_thread(redis.stop)
    await trial.under_fault(0.5)
    await asyncio.to_thread(redis.start_again)
    trial.mended()
    await trial.steady()


ROWS = (
    Row(
        name="rolling-restart",
        what="two instances behind nginx are restarted one after the other",
        site=behind_nginx,
        act=restarted,
        kinds=ORDINARY,
        workers=1,
        may_cut_streams="closed with 1001 as their instance stops",
        shared=False,
        needs=("nginx",),
    ),
    Row(
        name="redis-tls",
        what="Redis over TLS stops, goes on, is killed and started again",
        site=over_tls,
        act=frozen_then_killed,
        kinds=ORDINARY,
        needs=("redis-server",),
    ),
)
