"""How long the body of a request is (RFC 9112, section 6.3), if one can tell."""

from collections.abc import Mapping
from typing import Final

from gateway.http.refusal import BadRequest
from gateway.http.value import value
from gateway.reasons import Reason


@value
class Framing:
    """`length` is None where it is not known: `chunked`, or no body at all."""

    length: int | None
    chunked: bool

    @property
    def has_body(self) -> bool:
        """Whether bytes follow the head."""
        return self.chunked or bool(self.length)


def read_framing(values: Mapping[str, str], *, is_http11: bool) -> Framing | BadRequest:
    """Read the framing fields; `is_http11` is HTTP/1.1. Whatever is odd is refused."""
    length = values.get("content-length")
    coding = values.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            return _bad("both Transfer-Encoding and Content-Length are given")
        if not is_http11:
            return _bad("HTTP/1.0 has no Transfer-Encoding")
        if coding.lower() != "chunked":
            return _bad("the only transfer coding is chunked")
        return _CHUNKED
    if length is None:
        return _BODILESS
    # A repeated length was joined by a comma, and so is not digits.
    if not (length.isascii() and length.isdigit() and len(length) <= _DIGITS):
        return _bad("Content-Length is not one number")
    return Framing(length=int(length), chunked=False)


_CHUNKED: Final = Framing(length=None, chunked=True)
_BODILESS: Final = Framing(length=None, chunked=False)
# Beyond every disk, and below every parser's overflow.
_DIGITS: Final = 18


def _bad(detail: str) -> BadRequest:
    return BadRequest(status=400, reason=Reason.BAD_FRAMING, detail=detail)
