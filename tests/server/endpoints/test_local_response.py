"""What is read of a form that somebody sends us."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.body import BodyTooLarge
from gateway.server.endpoints.local_response import read_form
from tests.http.heads import head
from tests.server.parts import Listening, a_context

CHUNKED = head(("Transfer-Encoding", "chunked"), method="POST")


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        pytest.param(b"a=1&a=2&b=3", {"b": "3"}, id="given twice is not given"),
        pytest.param(b"a=1&a=1", {}, id="not even if it is the same"),
        pytest.param(b"a=\xff", {}, id="not UTF-8"),
        pytest.param(b"&".join(b"a%d=1" % n for n in range(21)), {}, id="too many"),
        pytest.param(b"a;b=1", {"a;b": "1"}, id="a semicolon parts nothing"),
        pytest.param(b'{"a": 1}', {'{"a": 1}': ""}, id="not a form"),
        pytest.param(b"", {}, id="empty"),
        pytest.param(b"a=", {"a": ""}, id="an empty value"),
        pytest.param(b"a=b+c%26d%C3%A4", {"a": "b c&d\xe4"}, id="escapes"),
    ],
)
async def test_a_form_is_its_fields(sent: bytes, form: dict[str, str]) -> None:
    assert await read_form(a_context(CHUNKED, sent)) == form


async def test_a_form_may_come_in_pieces() -> None:
    assert await read_form(a_context(CHUNKED, b"a=", b"1&b", b"=2")) == {
        "a": "1",
        "b": "2",
    }


async def test_a_large_form_is_not_read_to_its_end() -> None:
    with pytest.raises(BodyTooLarge):
        await read_form(a_context(CHUNKED, b"a=" + b"x" * 16 * 1024))


async def test_without_a_body_there_is_nothing_to_read() -> None:
    assert await read_form(a_context(head(method="POST"), b"a=1")) == {}


async def test_a_client_that_waits_to_send_gets_a_100() -> None:
    asks = head(
        ("Expect", "100-continue"), ("Transfer-Encoding", "chunked"), method="POST"
    )

    context = a_context(asks, b"a=1")

    assert await read_form(context) == {"a": "1"}
    client: object = context.exchange.client
    assert isinstance(client, Listening)
    assert client.pieces == [b"HTTP/1.1 100 Continue\r\n\r\n"]


@given(sent=st.binary(max_size=64))
async def test_any_bytes_are_some_form(sent: bytes) -> None:
    """Law 7."""
    form = await read_form(a_context(CHUNKED, sent))

    assert all(isinstance(value, str) for value in form.values())
