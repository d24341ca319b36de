"""Ids in paths of the admin API: every id that a session can have, and each one way."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.admin.named import named


def escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def asked(segment: str) -> web.Request:
    return make_mocked_request("GET", f"/admin/identities/{segment}/sessions?x=/y/z")


@given(st.text(min_size=1, max_size=255).filter(str.isprintable))
def test_any_id_is_read_as_it_was_written(text: str) -> None:
    assert named(asked(escaped(text))) == text


def test_escapes_are_undone_once() -> None:
    assert named(asked("%252F%7Bx%7D")) == "%2F{x}"
    assert named(asked("{x}")) == "{x}"


@pytest.mark.parametrize("segment", ["%", "%2", "%zz", "a%", "%ff", "%c3", "%ed%a0%80"])
def test_what_names_no_id_is_a_bad_request(segment: str) -> None:
    with pytest.raises(web.HTTPBadRequest):
        named(asked(segment))
