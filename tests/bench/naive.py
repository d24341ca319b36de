"""What one writes first: aiohttp server and client, redis.asyncio, a signature each.

The yardstick of tests/bench/compare.py. It strips no header, has no limit and no
backpressure; it only bounds the cost.

    python -m tests.bench.naive PORT UPSTREAM_PORT REDIS_PORT
"""

import json
import sys
import time

import jwt
import redis.asyncio
import uvloop
from aiohttp import ClientSession, TCPConnector, web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

_FRAMING = {"host", "connection", "content-length", "transfer-encoding"}
_KEY = generate_private_key(SECP256R1())
_PORT, _UPSTREAM, _REDIS = (int(each) for each in sys.argv[1:])


async def _handle(request: web.Request) -> web.StreamResponse:
    app = request.app
    sid = request.cookies.get("sid")
    raw = await app["redis"].get(f"session:{sid}") if sid else None
    if not raw:
        raise web.HTTPFound("/login")
    session = json.loads(raw)
    now = int(time.time())
    claims = {
        "sub": session["user_id"],
        "tenant_id": session["tenant_id"],
        "role": "authenticated",
        "iat": now,
        "exp": now + 60,
    }
    token = jwt.encode(claims, _KEY, algorithm="ES256")
    headers = {k: v for k, v in request.headers.items() if k.lower() not in _FRAMING}
    headers["X-User-Id"] = session["user_id"]
    headers["Authorization"] = f"Bearer {token}"
    async with app["client"].request(
        request.method,
        f"http://127.0.0.1:{_UPSTREAM}{request.raw_path}",
        headers=headers,
        data=request.content if request.body_exists else None,
        allow_redirects=False,
    ) as answer:
        response = web.StreamResponse(
            status=answer.status,
            headers={
                k: v for k, v in answer.headers.items() if k.lower() not in _FRAMING
            },
        )
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


async def _made() -> web.Application:
    app = web.Application()
    app["redis"] = redis.asyncio.Redis(port=_REDIS)
    app["client"] = ClientSession(
        connector=TCPConnector(limit=0), auto_decompress=False
    )
    app.router.add_route("*", "/{path:.*}", _handle)
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(_made(), host="127.0.0.1", port=_PORT, access_log=None, print=None)
