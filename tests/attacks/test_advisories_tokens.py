"""Advisories of classes J and A: tokens, keys, secrets, and who may do what."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
import pytest_asyncio
import yaml

from gateway.build.runtime import build_runtime
from gateway.config.load import load_config
from gateway.errors import ConfigError
from gateway.sessions.record import Identity
from tests.attacks.rig import (
    Rig,
    advisory_config,
    advisory_rig,
    body_of,
    recording,
    refused,
    rig,
)
from tests.server.parts import RING
from tests.servers import Server, free_port
from tests.walk.harness import ADMIN_TOKEN, BROWSER, an_admin, ask, base_config

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

GUARDED = ["/dashboard", "/admin", "/api/x"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    server = base_config(0)["server"] | {"admin": f"127.0.0.1:{free_port()}"}
    folder = tmp_path_factory.mktemp("tokens")
    async with advisory_rig(redis, folder, server=server) as running:
        yield running


async def minted(the_rig: Rig) -> tuple[str, str]:
    """Give the token of each of the two upstreams for one session."""
    cookie = {"Cookie": await the_rig.gateway.sign_in()}
    await the_rig.get("/dashboard", cookie)
    assertion = the_rig.last.one("X-Auth-Assertion") or ""
    await the_rig.get("/api/x", cookie)
    return assertion, (the_rig.last.one("Authorization") or "").removeprefix("Bearer ")


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def forged_tokens(the_rig: Rig, advisory: str) -> list[str]:
    now = int(time.time())
    claims = {"iss": "http://gw.test", "aud": "web", "sub": "u_root", "exp": now + 60}
    keys = (await the_rig.get("/.gateway/jwks.json")).json()
    match advisory:
        case "J1":
            return list(await minted(the_rig))
        case "J4":
            none = f"{b64({'alg': 'none', 'typ': 'JWT'})}.{b64(claims)}."
            absurd = f"{b64({'alg': 'none'})}.{b64(claims | {'exp': 1e300})}.x"
            return [
                none,
                absurd,
                f"{b64({'alg': 'None'})}.{b64([1])}.",
                "e30.e30.",
                "a.b.c.d.e",
            ]
        case "J5":
            header = {"alg": "HS256", "crit": ["x-custom-policy"]}
            return [f"{b64(header)}.{b64(claims)}.{b64(b'0' * 32)}"]
        case "J6":
            key = keys["keys"][0]
            secrets = [json.dumps(key).encode(), key["x"].encode(), b""]
            signed = []
            for secret in secrets:
                body = f"{b64({'alg': 'HS256', 'kid': key['kid']})}.{b64(claims)}"
                tag = hmac.new(secret, body.encode(), hashlib.sha256).digest()
                signed.append(f"{body}.{b64(tag)}")
            return signed
        case _:
            other = {"iss": "https://issuer.evil.test", "signer": "arn:evil"}
            return [jwt.encode(claims | other, "k" * 32, "HS256")]


@pytest.mark.parametrize("advisory", ["J1", "J4", "J5", "J6", "J9"])
async def test_a_token_that_a_client_brings_has_no_effect(
    the_rig: Rig, advisory: str
) -> None:
    for token in await forged_tokens(the_rig, advisory):
        the_rig.forget()
        ways = [
            {"Authorization": f"Bearer {token}"},
            {"Cookie": f"gateway_session={token}"},
            {"X-Auth-Assertion": token},
            {"X-Session-Token": token},
        ]
        for way in ways:
            for target in GUARDED:
                reply = await the_rig.get(target, way)
                assert refused(reply, 401), (way, target)
        assert the_rig.seen == []
        api = await the_rig.administer("GET", "/admin/identities/u/sessions", token)
        assert api.status == 401


async def test_j2_each_upstream_gets_a_token_for_its_own_audience(the_rig: Rig) -> None:
    assertion, database = await minted(the_rig)

    assert body_of(assertion)["aud"] == "web"
    assert body_of(database)["aud"] == "postgrest"
    assert "tenant_id" not in body_of(assertion)


async def test_j8_who_was_let_in_once_is_asked_for_more_elsewhere(the_rig: Rig) -> None:
    the_rig.forget()
    cookie = {"Cookie": await the_rig.gateway.sign_in(tenants={}, active_tenant=None)}

    statuses = [
        (await the_rig.get(target, cookie)).status
        for target in ("/dashboard", "/admin", "/api/x", "/second-factor", "/dashboard")
    ]

    assert statuses == [200, 403, 403, 401, 200]
    assert the_rig.targets == ["/dashboard", "/dashboard"]


async def test_j12_no_answer_of_the_admin_api_shows_a_session_token(
    the_rig: Rig,
) -> None:
    body = json.dumps({"identity": {"id": "u_shown"}}).encode()
    made = await the_rig.administer("POST", "/admin/sessions", body=body)
    assert made.status in {200, 201}, made.body
    reported = made.json()
    secret = next(value for name, value in reported.items() if "token" in name)
    listed = await the_rig.administer("GET", "/admin/identities/u_shown/sessions")
    one = await the_rig.administer(
        "GET", f"/admin/sessions/{reported['session']['id']}"
    )

    for reply in (listed, one):
        assert reply.status == 200
        assert secret not in reply.body.decode()
        assert hashlib.sha256(secret.encode()).hexdigest() not in reply.body.decode()


async def test_j13_credentials_are_in_no_log(the_rig: Rig) -> None:
    cookie = await the_rig.gateway.sign_in()
    secrets = ["bearer-SECRET-1", "basic-SECRET-2", "query-SECRET-3", "other-SECRET-4"]
    await the_rig.get(
        f"/dashboard?token={secrets[2]}",
        {
            "Cookie": f"{cookie}; other={secrets[3]}",
            "Authorization": f"Bearer {secrets[0]}",
            "X-Api-Key": secrets[1],
        },
    )
    await the_rig.administer("GET", "/admin/identities/u/sessions", secrets[0])
    await the_rig.get("/dashboard", {"Cookie": "gateway_session=bearer-SECRET-1"})

    await the_rig.gateway.logged()

    log = the_rig.gateway.log.read_text()
    assert ADMIN_TOKEN not in log
    assert cookie.partition("=")[2] not in log
    for secret in (secrets[0], secrets[1], secrets[3]):
        assert secret not in log


PRIVATE = [
    "/metrics", "/debug/pprof/", "/livez", "/readyz", "/openapi.json", "/admin/sessions",
]  # fmt: skip


@pytest.mark.parametrize("path", PRIVATE)
async def test_j14_what_is_on_the_admin_listener_is_not_on_the_public_one(
    the_rig: Rig, path: str
) -> None:
    the_rig.forget()
    token = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    plain = await the_rig.get(path)
    within = await the_rig.get(f"/.gateway{path}", token)

    if path.startswith("/admin"):
        assert (plain.status, the_rig.targets) == (401, [])
    else:
        assert the_rig.targets == [path], "an ordinary path, for the route to judge"
    assert within.status == 404
    assert b"gateway_" not in plain.body + within.body


async def test_j17_a_parameter_that_comes_twice_counts_as_absent(the_rig: Rig) -> None:
    cookie = await the_rig.gateway.sign_in()
    flow = await the_rig.get(
        "/.gateway/self-service/logout/browser", {"Cookie": cookie}
    )
    token = quote(flow.json()["logout_token"])
    submit = "/.gateway/self-service/logout"
    form = BROWSER | {"Cookie": cookie}

    tenants = await ask(
        the_rig.port,
        "POST",
        "/.gateway/tenant",
        form,
        b"tenant_id=t_blue&tenant_id=t_acme",
    )
    tokens = await the_rig.get(
        f"{submit}?token={token}&token={token}", {"Cookie": cookie}
    )
    await the_rig.get("/dashboard", {"Cookie": cookie})
    elsewhere = [
        await ask(
            the_rig.port,
            "POST",
            "/.gateway/logout",
            BROWSER | {"Cookie": await the_rig.gateway.sign_in()},
            b"&".join(pair),
        )
        for pair in (
            (b"return_to=http%3A%2F%2Fgw.test%2Fa", b"return_to=%2F%2Fevil.test"),
            (b"return_to=%2F%2Fevil.test", b"return_to=%2Fa"),
        )
    ]
    ended = await ask(
        the_rig.port, "GET", f"{submit}?token={token}&return_to=/a&return_to=/b", form
    )

    assert (tenants.status, tokens.status) == (403, 400)
    assert the_rig.last.one("X-Auth-Tenant-Id") == "t_acme"
    assert [(each.status, each.one("Location")) for each in elsewhere] == [
        (303, "/")
    ] * 2
    assert (ended.status, ended.one("Location")) == (303, "/")


@pytest.mark.parametrize(
    "agent",
    ["GoogleHC/1.0", "kube-probe/1.29", "ELB-HealthChecker/2.0", "Googlebot/2.1"],
)
async def test_a1_no_user_agent_authenticates(the_rig: Rig, agent: str) -> None:
    the_rig.forget()

    for target in (*GUARDED, "/.gateway/sessions/whoami"):
        reply = await the_rig.get(target, {"User-Agent": agent})
        assert refused(reply, 401), target

    assert the_rig.seen == []


@pytest.mark.parametrize(
    "value",
    ["", "http://[::1", "//", "http://gw.test/static/x", "/static/x", "\x01", "%zz"],
)
async def test_a2_a_header_that_cannot_be_parsed_is_no_success(
    the_rig: Rig, value: str
) -> None:
    the_rig.forget()
    for name in ("X-Original-URL", "X-Forwarded-Uri", "X-Rewrite-URL", "Referer"):
        for target in GUARDED:
            reply = await the_rig.get(target, {name: value})
            assert refused(reply, 400, 401), (name, target)
    assert the_rig.seen == []


async def test_a4_a_role_that_a_configuration_allows_is_in_no_session(
    the_rig: Rig,
) -> None:
    the_rig.forget()
    plain = await the_rig.gateway.sign_in(
        identity=Identity(id="u_none", traits={}, roles=())
    )

    reply = await the_rig.get("/admin", {"Cookie": plain})
    whoami = await the_rig.get("/.gateway/sessions/whoami", {"Cookie": plain})
    await the_rig.get("/dashboard", {"Cookie": plain})

    assert reply.status == 403
    assert "admin" not in whoami.body.decode()
    assert the_rig.last.one("X-Auth-Role") is None


async def test_a6_no_route_is_no_entry_and_an_empty_list_stops_the_start(
    redis: Server, tmp_path: Path
) -> None:
    async with recording() as upstream:
        config = base_config(upstream.port)
        config["routes"] = [
            {"match": "/admin/**", "rule": "admin-only", "upstream": "web"}
        ]
        async with rig(config, upstream, tmp_path, redis) as running:
            admin = {"Cookie": await running.gateway.sign_in(**an_admin())}
            replies = [await running.get(target, admin) for target in ("/", "/other")]
        config["roles"] = {"admin": []}

    assert [reply.status for reply in replies] == [404, 404]
    assert running.past == []
    assert "roles.admin is empty" in refusal_of(config, tmp_path)


def refusal_of(config: Any, folder: Path) -> str:
    """Try to start with a configuration; give the words with which it is refused."""
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError) as refusal:
        build_runtime(load_config(path, env={}), ring=RING, ticks=lambda: 0.0)
    return str(refusal.value)


@pytest.mark.parametrize("advisory", ["A8", "A18"])
async def test_a_security_option_without_effect_stops_the_start(
    tmp_path: Path, advisory: str
) -> None:
    if advisory == "A8":
        variants = [
            {"upstream": {"ca": str(tmp_path / "absent.pem")}},
            {"upstream": {"ca": str(tmp_path)}},
        ]
    else:
        variants = [
            {"server": {}},
            {"server": {"certificate": "", "key": ""}},
            {"upstream": {"ca": ""}},
            {"upstream": {"certificate": str(tmp_path / "cert.pem")}},
        ]
    for variant in variants:
        config = advisory_config(3000)
        if "server" in variant:
            config["server"]["tls"] = variant["server"]
        else:
            config["upstreams"]["web"] |= {
                "url": "https://127.0.0.1:3000",
                "tls": variant["upstream"],
            }
        assert refusal_of(config, tmp_path), variant


async def test_a9_a_page_of_ones_own_does_not_change_the_status(
    redis: Server, tmp_path: Path
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "403.html").write_text("HTTP/1.1 200 OK <p>all is well</p>")
    (pages / "error.html").write_text("<p>{{ title }}</p>")
    async with recording() as upstream:
        config = advisory_config(upstream.port)
        config["pages"] = {"folder": str(pages)}
        async with rig(config, upstream, tmp_path, redis) as running:
            member = BROWSER | {"Cookie": await running.gateway.sign_in()}
            reply = await ask(running.port, "GET", "/admin", member)

    assert reply.status == 403
    assert upstream.complete == []


async def test_a10_no_check_depends_on_how_a_body_is_framed(
    redis: Server, tmp_path: Path
) -> None:
    async with recording() as upstream:
        config = advisory_config(upstream.port)
        config["server"]["limits"] = {"body_bytes": 1024}
        async with rig(config, upstream, tmp_path, redis) as running:
            cookie = (await running.gateway.sign_in()).encode()
            head = b"POST /dashboard HTTP/1.1\r\nHost: gw.test\r\nAccept: */*\r\n"
            chunked = b"Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n"
            large = (
                b"Transfer-Encoding: chunked\r\n\r\n800\r\n"
                + b"a" * 0x800
                + b"\r\n0\r\n\r\n"
            )
            signed = head + b"Cookie: " + cookie + b"\r\n"
            length = b"Content-Length: 2048\r\n\r\n" + b"a" * 2048

            anonymous = await running.raw(head + chunked)
            too_large = [
                await running.raw(signed + large),
                await running.raw(signed + length),
            ]
            allowed = await running.raw(signed + chunked)

    assert anonymous[0].status == 401
    assert [replies[0].status for replies in too_large] == [413, 413]
    assert allowed[0].status == 200
    assert [seen.body for seen in running.past if seen.complete] == [b"a=b"]


async def test_a14_a_session_without_its_second_factor_passes_nowhere_it_is_needed(
    the_rig: Rig,
) -> None:
    the_rig.forget()
    first = {"Cookie": await the_rig.gateway.sign_in(aal="aal1")}
    second = {"Cookie": await the_rig.gateway.sign_in(aal="aal2")}

    for target in ("/second-factor", "/second-factor?x", "/%73econd-factor"):
        reply = await the_rig.get(target, first)
        assert (reply.status, reply.json()["reason"]) == (401, "aal_too_low"), target
    assert the_rig.seen == []
    assert (await the_rig.get("/second-factor", second)).status == 200


async def test_a17_a_field_that_is_missing_is_not_valid(the_rig: Rig) -> None:
    cookie = await the_rig.gateway.sign_in()
    form = BROWSER | {"Cookie": cookie}
    replies = [
        await ask(the_rig.port, "POST", "/.gateway/tenant", form),
        await ask(the_rig.port, "POST", "/.gateway/tenant", form, b"tenant="),
        await the_rig.administer("POST", "/admin/sessions"),
        await the_rig.administer("POST", "/admin/sessions", body=b"{}"),
        await the_rig.administer("POST", "/admin/sessions", body=b'{"identity":{}}'),
        await the_rig.administer(
            "POST", "/admin/sessions", body=b'{"identity":{"id":""}}'
        ),
    ]

    assert all(refused(reply) for reply in replies), replies
    await the_rig.get("/dashboard", {"Cookie": cookie})
    assert the_rig.last.one("X-Auth-Tenant-Id") == "t_acme"


@pytest.mark.parametrize(
    "query", ["allowed_groups=", "allowed_groups=member", "role=admin", "rule=public"]
)
async def test_a21_no_policy_comes_from_a_query(the_rig: Rig, query: str) -> None:
    the_rig.forget()
    member = {"Cookie": await the_rig.gateway.sign_in()}

    anonymous = await the_rig.get(f"/dashboard?{query}")
    lesser = await the_rig.get(f"/admin?{query}", member)

    assert (anonymous.status, lesser.status) == (401, 403)
    assert the_rig.seen == []


@pytest.mark.parametrize(
    "path",
    ["/explain", "/admin/explain", "/admin/policies/test", "/admin/eval", "/check"],
)
async def test_a22_no_endpoint_evaluates_a_policy(the_rig: Rig, path: str) -> None:
    body = b'{"expression": "__import__(\'os\').getpid()"}'

    for method in ("GET", "POST"):
        there = await the_rig.administer(
            method, path, body=body if method == "POST" else b""
        )
        here = await the_rig.get(f"/.gateway{path}", method=method)
        assert there.status in {404, 405}
        assert here.status in {404, 405}
