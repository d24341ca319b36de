"""nginx as a plain proxy, and with the gateway's job written by hand in Lua."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from tests.bench.backends import Backends, nginx_command
from tests.bench.processes import EVERY_CORE, SYSTEM_CORE, Program, running
from tests.bench.systems.system import System, UnavailableError
from tests.servers import free_port

_FORWARD: Final = (
    "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection '';"
)
_WEBSOCKET: Final = (
    "proxy_pass http://app; proxy_http_version 1.1; proxy_read_timeout 600s;"
    " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
)
# A session from Redis, its identity in headers, a token that is signed once in a
# while. The token has the size of a real one; nginx has no signature in Lua.
_CHECK: Final = """
local id = ngx.var.cookie_gateway_session
if not id then return ngx.redirect("/login") end
local line = redis:new()
line:set_timeout(1000)
if not line:connect("127.0.0.1", REDIS_PORT) then return ngx.exit(503) end
local raw = line:get("lua:session:" .. id)
line:set_keepalive(10000, 1024)
if not raw or raw == ngx.null then return ngx.redirect("/login") end
local session = cjson.decode(raw)
local token = tokens:get(id)
if not token then
  local claims = {sub = session.identity.id, exp = ngx.time() + 60}
  token = "e." .. ngx.encode_base64(cjson.encode(claims)) .. "." .. string.rep("a", 86)
  tokens:set(id, token, 30)
end
local set, clear = ngx.req.set_header, ngx.req.clear_header
clear("X-Auth-User-Id")
clear("X-Auth-Email")
clear("X-Auth-Role")
clear("X-Auth-Tenant-Id")
set("X-Auth-User-Id", session.identity.id)
set("X-Auth-Email", session.identity.traits.email)
set("X-Auth-Tenant-Id", session.active_tenant_id)
set("Authorization", "Bearer " .. token)
"""


def _http(backends: Backends, port: int, log: str, check: str) -> str:
    return f"""
    access_log {backends.folder}/{log};
    upstream app {{ server 127.0.0.1:{backends.upstream_port}; keepalive 1024; }}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location / {{ {check} {_FORWARD} }}
        location ~ /ws$ {{ {check} {_WEBSOCKET} }}
    }}"""


@contextmanager
def nginx(backends: Backends) -> Iterator[System]:
    """Run nginx as a plain proxy."""
    port = free_port()
    http = _http(backends, port, "nginx-access.log", "")
    with _started(backends, "nginx plain", http, "") as program:
        yield System(name="nginx plain", port=port, program=program).ready()


@contextmanager
def nginx_lua(backends: Backends, *, on_every_core: int = 0) -> Iterator[System]:
    """Run nginx with the check in Lua.

    `on_every_core`: so many workers on all cores; 0: one on that of the systems.
    """
    port, workers = free_port(), on_every_core
    name = f"nginx + Lua {workers}" if workers else "nginx + Lua"
    check = _CHECK.replace("REDIS_PORT", str(backends.redis_port))
    http = """
    lua_package_path "/usr/share/lua/5.1/?.lua;;";
    lua_package_cpath "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;/usr/lib/aarch64-linux-gnu/lua/5.1/?.so;;";
    init_by_lua_block {
      redis = require "nginx.redis"
      cjson = require "cjson"
      tokens = require("resty.lrucache").new(10000)
    }
    """ + _http(
        backends,
        port,
        f"lua-access-{workers}.log",
        f"access_by_lua_block {{ {check} }}",
    )
    modules = Path("/usr/lib/nginx/modules")
    if not (modules / "ngx_http_lua_module.so").exists():
        raise UnavailableError("its Lua module is missing: libnginx-mod-http-lua")
    head = "".join(
        f"load_module {modules}/{name}_module.so;\n"
        for name in ("ndk_http", "ngx_http_lua")
    )
    with _started(backends, name, http, head, workers) as program:
        yield System(
            name=name,
            port=port,
            program=program,
            cookies=backends.gateway_cookies,
        ).ready()


def _started(
    backends: Backends, name: str, http: str, head: str, on_every_core: int = 0
) -> AbstractContextManager[Program]:
    file = name.replace(" ", "").replace("+", "-").lower()
    try:
        workers = on_every_core or 1
        command = nginx_command(backends.folder, file, http, head, workers)
    except FileNotFoundError as error:
        raise UnavailableError(str(error)) from error
    cores = EVERY_CORE if on_every_core else SYSTEM_CORE
    return running(name, command, backends.folder, cores=cores)
