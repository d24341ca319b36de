"""Advisories of class P: one path for the rule, another for the application."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.attacks.rig import Rig, advisory_rig, refused
from tests.servers import Server

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    async with advisory_rig(redis, tmp_path_factory.mktemp("paths")) as running:
        yield running


AMBIGUOUS = {
    "P2": ["/foo/secret%23/bar", "/foo/secret#/bar", "/foo/secret%23%2fbar"],
    "P5": [
        "/static/../admin/x",
        "/static/..//admin/x",
        "/static/..%2fadmin",
        "/static/..%2Fadmin",
        "/static/%2e%2e/admin",
        "/static/%2E%2E%2Fadmin",
        "/static/.%2e/admin",
        "/static/./x",
        "/static/%2e",
        "/..",
    ],
    "P6": ["/static/../admin/secrets", "/open/../dashboard"],
    "P8": ["/admin%2fsecret", "/admin%2Fsecret", "/%2fadmin"],
    "P10": [
        "//admin/secret-endpoint",
        "//",
        "///admin",
        "/static//admin",
        "//gw.test/",
    ],
    "P12": ["/static/../admin", "/static/x/../../admin"],
    "P13": ["/dashboard#section1", "/static/x#", "/#"],
    "P14": ["/admin#/../static", "/static#/../admin"],
    "P16": ["/a/%2E%2E/b", "/a/%2e%2E"],
    "P17": ["/service/../admin", "/service/.."],
    "P21": [
        "/api/..",
        "/api/../admin",
        "/api/%2e%2e/admin",
        "/api/..;/admin",
        "/api//x",
    ],
    "P22": ["/ADMIN%2fpanel", "/admin%2Fpanel", "/Admin%2Fpanel"],
    "P24": ["/private%5csecret.txt", "/private%5Csecret.txt", "/private\\secret.txt"],
    "P25": ["/static/%252f..%252fadmin", "/static/%25", "/%252e%252e/admin"],
    "P26": ["/static/..;/admin", "/static/x;y=1/admin", "/static;/admin", "/a%3bb"],
}


@pytest.mark.parametrize("advisory", AMBIGUOUS)
@pytest.mark.parametrize("signed_in", [False, True])
async def test_a_target_that_could_be_read_in_two_ways_is_refused(
    the_rig: Rig, advisory: str, signed_in: bool
) -> None:
    cookie = {"Cookie": await the_rig.gateway.sign_in()} if signed_in else {}
    for target in AMBIGUOUS[advisory]:
        the_rig.forget()

        reply = await the_rig.get(target, cookie)

        assert refused(reply, 400), target
        assert the_rig.seen == [], target


# A request, the rule that it meets (by its answer to nobody), and what arrives.
ONE_PATH: dict[str, list[tuple[str, int, str | None]]] = {
    "P1": [
        ("/foo/critical?param=/bar", 401, None),
        ("/foo/critical?/foo/x/bar", 401, None),
        ("/foo/x/bar?a=/foo/critical", 200, "/foo/x/bar?a=/foo/critical"),
    ],
    "P4": [
        ("/admin?x=/.gateway/", 401, None),
        ("/dashboard?/static/", 401, None),
        ("/dashboard/.gateway/jwks.json", 401, None),
    ],
    "P9": [
        ("/mypath?foo=bar", 401, None),
        ("/mypath?", 401, None),
        ("/open?foo=bar%3F%2f", 200, "/open?foo=bar%3F%2f"),
    ],
    "P20": [
        ("/foo../bar", 200, "/foo../bar"),
        ("/api../admin", 200, "/api../admin"),
        ("/..api/admin", 200, "/..api/admin"),
    ],
    "P30": [
        ("/API/channels/x", 200, "/API/channels/x"),
        ("/api/channels%2Fnostr", 400, None),
        ("/%44ashboard", 200, "/Dashboard"),
        ("/%64ashboard", 401, None),
    ],
    "P32": [
        ("/pki/ca/prod", 200, "/pki/ca/prod"),
        ("/pki/ca/prod/x", 200, "/pki/ca/prod/x"),
        ("/pki/ca/prod-2", 401, None),
        ("/pki/ca/prod.", 401, None),
        ("/pki/ca/pro", 401, None),
    ],
}


@pytest.mark.parametrize("advisory", ONE_PATH)
async def test_the_path_that_was_matched_is_the_path_that_arrives(
    the_rig: Rig, advisory: str
) -> None:
    for target, status, arrived in ONE_PATH[advisory]:
        the_rig.forget()

        reply = await the_rig.get(target)

        assert reply.status == status, target
        assert the_rig.targets == ([] if arrived is None else [arrived]), target


async def test_p18_a_prefix_is_removed_from_the_canonical_path(the_rig: Rig) -> None:
    cookie = {"Cookie": await the_rig.gateway.sign_in()}
    for target, arrived in (
        ("/%61pi/x", "/x"),
        ("/ap%69/%7Ex?q=%2F", "/~x?q=%2F"),
        ("/api", "/"),
        ("/api/api/x", "/api/x"),
    ):
        the_rig.forget()

        anonymous = await the_rig.get(target)
        assert (anonymous.status, the_rig.seen) == (401, []), target

        await the_rig.get(target, cookie)
        assert the_rig.targets == [arrived], target


@pytest.mark.parametrize("line", [b"GET admin", b"GET admin/x", b"GET *", b"GET ?x"])
async def test_p28_a_target_begins_with_a_slash(the_rig: Rig, line: bytes) -> None:
    the_rig.forget()

    replies = await the_rig.raw(line + b" HTTP/1.1\r\nHost: gw.test\r\n\r\n")

    assert [reply.status for reply in replies] == [400]
    assert the_rig.seen == []


@pytest.mark.parametrize(
    "host",
    ["gw.test/static?x=", "gw.test/static", "gw.test?x", "gw.test#", "a@gw.test"],
)
async def test_p29_no_host_is_part_of_the_path(the_rig: Rig, host: str) -> None:
    the_rig.forget()

    reply = await the_rig.get("/admin", host=host)

    assert refused(reply, 400)
    assert the_rig.seen == []
