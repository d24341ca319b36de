"""The raw requests of tests/vectors/http_cases.json, as far as a head decides them.

They are cut into lines by a parser that checks nothing, so that what holds here
holds by `read_head` alone. Bodies, pipelines and line ends are for real sockets.
"""

import base64
import json
from pathlib import Path

import pytest

from gateway.http.head import BadRequest, RequestHead
from gateway.http.headers import HeaderFilter
from tests.http.heads import names, read

VECTORS = Path(__file__).parent.parent / "vectors" / "http_cases.json"
CASES = {case["id"]: case for case in json.loads(VECTORS.read_text())}
# Here the head is plain, and what is wrong comes after it or before it.
NOT_IN_THE_HEAD = (
    "chunk-",
    "cl-short-then-eof",
    "leading-",
    "lf-only-",
    "pipeline-",
    "post-no-length-",
    "tls-on-plain",
)
REFUSED = [
    name
    for name, case in CASES.items()
    if case["expect"] in {"reject_400", "no_forward"}
    and not name.startswith(NOT_IN_THE_HEAD)
]
TAKEN = [
    name
    for name, case in CASES.items()
    if case["expect"] == "single_request" and not name.startswith(NOT_IN_THE_HEAD)
]
# What the notes leave open, and the gateway decides.
DECIDED = {
    "cl-dup-same": 400,
    "host-empty": 400,
    "line-abs-form-other-host": 400,
    "upgrade-bad-version": 426,
}


def _read(name: str) -> RequestHead | BadRequest:
    head, _, _ = base64.b64decode(CASES[name]["raw_b64"]).partition(b"\r\n\r\n")
    line, *lines = head.removesuffix(b"\r\n").split(b"\r\n")
    method, _, rest = line.decode("latin-1").partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/"):
        target, version = rest, "HTTP/0.9"
    major, minor = version.removeprefix("HTTP/").split(".")
    fields = [(key, value) for key, _, value in (one.partition(b":") for one in lines)]
    return read(
        *((key, value.strip(b" ")) for key, value in fields),
        method=method,
        target=target,
        version=(int(major), int(minor)),
        host=None,
    )


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_head_is_refused(name: str) -> None:
    found = _read(name)

    assert isinstance(found, BadRequest), CASES[name]["note"]
    assert 400 <= found.status <= 505


@pytest.mark.parametrize("name", TAKEN)
def test_a_legal_head_is_taken(name: str) -> None:
    assert isinstance(_read(name), RequestHead), CASES[name]["note"]


@pytest.mark.parametrize("name", DECIDED)
def test_what_is_left_open_is_decided(name: str) -> None:
    found = _read(name)

    assert isinstance(found, BadRequest)
    assert found.status == DECIDED[name]


@pytest.mark.parametrize(
    "name", ["te-tab-before", "te-tab-after", "te-uppercase", "te-name-underscore"]
)
def test_framing_goes_no_further(name: str) -> None:
    found = _read(name)

    assert isinstance(found, RequestHead)
    assert found.has_body
    assert found.chunked is (name != "te-name-underscore")
    assert names(found) == []


def test_a_method_in_lower_case_is_another_method() -> None:
    found = _read("line-method-lower")

    assert isinstance(found, RequestHead)
    assert found.method == "get"


def test_the_root_dot_names_the_same_host() -> None:
    found = _read("host-trailing-dot")

    assert isinstance(found, RequestHead)
    assert found.host == "a"


def test_connection_takes_the_cookie_from_the_upstream_and_not_from_us() -> None:
    found = _read("hop-strip-cookie")

    assert isinstance(found, RequestHead)
    assert found.cookies == (b"sid=x",)
    assert found.cookie_hop


@pytest.mark.parametrize("name", ["hop-strip-identity", "identity-spoof"])
def test_no_one_speaks_for_himself(name: str) -> None:
    found = _read(name)

    assert isinstance(found, RequestHead)
    assert HeaderFilter(["X-Auth-User"]).strip(found.lines) == []


def test_an_upgrade_with_a_body_is_a_request_with_a_body() -> None:
    found = _read("upgrade-with-body")

    assert isinstance(found, RequestHead)
    assert found.websocket is None
    assert found.content_length == 31
