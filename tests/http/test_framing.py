import pytest

from gateway.http.framing import read_framing
from gateway.http.refusal import BadRequest
from gateway.reasons import Reason
from tests.http.heads import head, refusal

REFUSED = [
    pytest.param([("Content-Length", "5"), ("Content-Length", "5")], id="length-twice"),
    pytest.param([("Content-Length", "5, 5")], id="length-list"),
    pytest.param([("Content-Length", "+5")], id="length-sign"),
    pytest.param([("Content-Length", "-1")], id="length-negative"),
    pytest.param([("Content-Length", "5.0")], id="length-point"),
    pytest.param([("Content-Length", "0x5")], id="length-hex"),
    pytest.param([("Content-Length", "0_4")], id="length-underscore"),
    pytest.param([("Content-Length", "")], id="length-empty"),
    pytest.param([("Content-Length", "4 2")], id="length-inner-space"),
    pytest.param([("Content-Length", "18446744073709551616")], id="length-overflow"),
    pytest.param([("Content-Length", "\xb9".encode())], id="length-superscript"),
    pytest.param([("Content-Length", "\u0661".encode())], id="length-arabic"),
    pytest.param(
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")], id="both"
    ),
    pytest.param([("Transfer-Encoding", "")], id="coding-empty"),
    pytest.param([("Transfer-Encoding", "identity")], id="coding-identity"),
    pytest.param([("Transfer-Encoding", "gzip, chunked")], id="coding-list"),
    pytest.param([("Transfer-Encoding", "chunked, chunked")], id="coding-doubled"),
    pytest.param([("Transfer-Encoding", "xchunked")], id="coding-prefix"),
    pytest.param([("Transfer-Encoding", "chunked;x=1")], id="coding-parameter"),
    pytest.param([("Transfer-Encoding", '"chunked"')], id="coding-quoted"),
    pytest.param(
        [("Transfer-Encoding", "chunked"), ("transfer-encoding", "chunked")],
        id="coding-twice",
    ),
    pytest.param(
        [("Transfer-Encoding", "identity"), ("Transfer-Encoding", "chunked")],
        id="coding-two-lines",
    ),
]


@pytest.mark.parametrize("fields", REFUSED)
def test_a_length_that_two_parsers_might_read_differently_is_refused(
    fields: list[tuple[str, str]],
) -> None:
    found = refusal(*fields, method="POST")

    assert (found.status, found.reason) == (400, Reason.BAD_FRAMING)


def test_http_1_0_has_no_transfer_coding() -> None:
    found = refusal(("Transfer-Encoding", "chunked"), version=(1, 0))

    assert found.reason is Reason.BAD_FRAMING


READ = [
    pytest.param([], None, False, False, id="nothing"),
    pytest.param([("Content-Length", "0")], 0, False, False, id="nought"),
    pytest.param([("Content-Length", "010")], 10, False, True, id="leading-zeros"),
    pytest.param([("Content-Length", " 7\t")], 7, False, True, id="white-space-around"),
    pytest.param([("TRANSFER-ENCODING", "CHUNKED")], None, True, True, id="upper"),
    pytest.param([("Transfer-Encoding", "\tchunked\t")], None, True, True, id="tabs"),
    pytest.param(
        [("Transfer_Encoding", "chunked"), ("Content-Length", "5")],
        5,
        False,
        True,
        id="underscore-is-another-name",
    ),
]


@pytest.mark.parametrize(("fields", "length", "chunked", "has_body"), READ)
def test_a_length_is_read_once(
    fields: list[tuple[str, str]], length: int | None, chunked: bool, has_body: bool
) -> None:
    found = head(*fields, method="POST")

    assert (found.content_length, found.chunked) == (length, chunked)
    assert found.has_body is has_body
    assert found.headers == ()


def test_framing_alone_shows_a_body() -> None:
    found = read_framing({"content-length": "3"}, is_http11=False)

    assert not isinstance(found, BadRequest)
    assert found.has_body
