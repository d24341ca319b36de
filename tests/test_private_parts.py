"""Undocumented parts of libraries: each is in one module, and still there.

A failure after an upgrade names the module that has to change.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import http_parser, streams, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from redis._parsers import BaseParser
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection
from uvloop import loop

ROOT = Path(__file__).parents[1]
REDIS = "sessions/redis/library_internals.py"
NAMES = "sessions/redis/names.py"
READER = "server/request_reader.py"
ADMIN = "server/admin/listener.py"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part by the text that uses it, its only module, and that it is there."""

    name: str
    used: str
    module: str
    present: Callable[[], bool]


def a_cluster() -> RedisCluster:
    return RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", 1)])


def a_parser_has(method: str) -> bool:
    return callable(getattr(http_parser.HttpRequestParser, method, None))


async def _nothing(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


# Neither has types that say what is tested here.
parse_error: Callable[[str], object] = BaseParser.parse_error
empty_payload: object = streams.EMPTY_PAYLOAD
tls_protocol: object = vars(loop).get("SSLProtocol")

PARTS = (
    Part(
        name="BaseParser.parse_error",
        used=r"redis\._parsers|\bBaseParser\b",
        module=REDIS,
        present=lambda: isinstance(parse_error("ERR no"), Exception),
    ),
    Part(
        name="Connection._writer",
        used=r"connection\._writer\b",
        module=REDIS,
        present=lambda: Connection()._writer is None,
    ),
    Part(
        name="RedisCluster._initialize",
        used=r"\._initialize\b",
        module=REDIS,
        present=lambda: a_cluster()._initialize is True,
    ),
    Part(
        name="RedisCluster.nodes_manager",
        used=r"\bnodes_manager\b",
        module=REDIS,
        present=lambda: callable(a_cluster().nodes_manager.get_node_from_slot),
    ),
    Part(
        name="Connection._connect",
        used=r"super\(\)\._connect\(",
        module=NAMES,
        present=lambda: inspect.iscoroutinefunction(Connection._connect),
    ),
    Part(
        name="Connection._connection_arguments",
        used=r"\b_connection_arguments\b",
        module=NAMES,
        present=lambda: {"host", "port"} <= {*Connection()._connection_arguments()},
    ),
    Part(
        name="HttpRequestParser.feed_data",
        used=r"upgraded, \w+ = self\._parser\.feed_data\(",
        module=READER,
        present=lambda: a_parser_has("feed_data"),
    ),
    Part(
        name="HttpRequestParser.message_consumed",
        used=r"\.message_consumed\(",
        module=READER,
        present=lambda: a_parser_has("message_consumed"),
    ),
    Part(
        name="HttpRequestParser.pause_reading",
        used=r"_parser\.pause_reading\(",
        module=READER,
        present=lambda: a_parser_has("pause_reading"),
    ),
    Part(
        name="HttpRequestParser.set_upgraded",
        used=r"\.set_upgraded\(",
        module=READER,
        present=lambda: a_parser_has("set_upgraded"),
    ),
    Part(
        name="HttpRequestParserC",
        used=r"\bHttpRequestParserC\b",
        module=READER,
        present=lambda: (
            vars(http_parser).get("HttpRequestParserC") is http_parser.HttpRequestParser
        ),
    ),
    Part(
        name="EMPTY_PAYLOAD",
        used=r"\bEMPTY_PAYLOAD\b",
        module=READER,
        present=lambda: (
            isinstance(empty_payload, streams.StreamReader) and empty_payload.at_eof()
        ),
    ),
    Part(
        name="RawRequestMessage",
        used=r"\bimport RawRequestMessage\b",
        module="server/exchange.py",
        present=lambda: (
            {"method", "path", "version", "raw_headers", "should_close", "upgrade"}
            <= set(dir(RawRequestMessage))
        ),
    ),
    Part(
        name="SSLProtocol.buffer_updated",
        used=r"\bget_referents\(",
        module="proxy/unread_tls.py",
        present=lambda: callable(getattr(tls_protocol, "buffer_updated", None)),
    ),
    Part(
        name="AppRunner._make_server",
        used=r"\b_make_server\b",
        module=ADMIN,
        present=lambda: inspect.iscoroutinefunction(web.AppRunner._make_server),
    ),
    Part(
        name="RequestHandler._messages",
        used=r"self\._messages\b",
        module=ADMIN,
        present=lambda: "_messages" in RequestHandler.__slots__,
    ),
    Part(
        name="RequestHandler._current_request",
        used=r"\b_current_request\b",
        module=ADMIN,
        present=lambda: "_current_request" in RequestHandler.__slots__,
    ),
)
FILES = {
    path.relative_to(ROOT / "gateway").as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "gateway").rglob("*.py")
}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
async def test_a_private_part_is_still_there(part: Part) -> None:
    assert part.present(), f"look at gateway/{part.module}"


async def test_a_server_of_aiohttp_has_its_loop() -> None:
    assert web.Server(_nothing)._loop is not None, f"look at gateway/{ADMIN}"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_private_part_is_used_in_one_module(part: Part) -> None:
    users = [name for name, text in FILES.items() if re.search(part.used, text)]

    assert users == [part.module]


def test_access_to_private_members_of_libraries_is_in_these_modules_alone() -> None:
    marked = {name for name, text in FILES.items() if "SLF001" in text}

    assert marked <= {part.module for part in PARTS}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_private_part_is_documented(part: Part) -> None:
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    row = rf"^\| `{re.escape(part.name)}` \|.*`gateway/{re.escape(part.module)}`"

    assert re.search(row, page, re.MULTILINE)
