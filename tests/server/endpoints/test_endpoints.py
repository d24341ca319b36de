"""Our own paths: which they are, and what is asked of them."""

from typing import Any

import orjson
import pytest

from gateway.reasons import Reason
from gateway.spine.local_paths import WELL_KNOWN_JWKS, is_local, methods_of
from tests.http.heads import head
from tests.server.parts import Rendered, call_path


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        pytest.param("/.gatewayx", False, id="longer"),
        pytest.param("/.gatewa", False, id="shorter"),
        pytest.param("/.Gateway/jwks.json", False, id="case"),
        pytest.param("/a/.gateway", False, id="further in"),
        pytest.param("/.gateway%2Fx", False, id="an escaped slash"),
        pytest.param("/", False, id="home"),
        pytest.param("/.gateway", True, id="itself"),
        pytest.param("/.gateway/", True, id="slash"),
        pytest.param("/.gateway/logout", True, id="below"),
    ],
)
def test_ours_is_what_is_below_our_segment(path: str, ours: bool) -> None:
    assert is_local(path) is ours


async def answered(method: str, target: str, **fields: Any) -> tuple[Rendered, Reason]:
    answer, context = await call_path(head(method=method, target=target, **fields))
    return answer, context.reason


@pytest.mark.parametrize(
    "target", ["/.gateway", "/.gateway/nothing", "/.gateway/jwks.json/"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_not_there_is_a_404(method: str, target: str) -> None:
    answer, reason = await answered(method, target)

    assert (answer.reply.status, reason) == (404, Reason.NO_ROUTE)
    assert answer.cookies == ()


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        pytest.param("GET", "/.gateway/logout", "POST", id="a link signs nobody out"),
        pytest.param("HEAD", "/.gateway/tenant", "POST", id="head"),
        pytest.param("POST", "/.gateway/jwks.json", "GET, HEAD", id="post"),
        pytest.param("get", "/.gateway/jwks.json", "GET, HEAD", id="methods have case"),
    ],
)
async def test_another_method_is_a_405(method: str, target: str, allowed: str) -> None:
    answer, reason = await answered(method, target)

    assert (answer.reply.status, reason) == (405, Reason.METHOD_NOT_ALLOWED)
    assert ("Allow", allowed) in answer.reply.headers


@pytest.mark.parametrize("target", ["/.gateway/jwks.json", WELL_KNOWN_JWKS])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_keys_are_at_both_places(method: str, target: str) -> None:
    answer, reason = await answered(method, target)

    assert (answer.reply.status, reason) == (200, Reason.GATEWAY)
    assert orjson.loads(answer.reply.body)["keys"]


def test_the_methods_of_a_path_are_known_without_asking() -> None:
    assert methods_of("/.gateway/jwks.json") == ("GET", "HEAD")
    assert methods_of("/.gateway/logout") == ("POST",)
    assert methods_of("/.gateway/nothing") == ()
