"""Return the body length of a request (RFC 9112, section 6.3), or reject ambiguous framing."""

from collections.abc import Mapping
from typing import Final

from gateway.http.refusal import BadRequest
from gateway.http.value import value
from gateway.reasons import Reason


@value
class Framing:
    """`length` in bytes; None if the body is chunked, or if there is none."""

    length: int | None
    chunked: bool

    @property
    def has_body(self) -> bool:
        """Whether bytes follow the head."""
        return self.chunked or bool(self.length)


def read_framing(values: Mapping[str, str], *, is_http11: bool) -> Framing | BadRequest:
    """Return the framing; BadRequest if it is ambiguous or malformed."""
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
        return BODILESS
    # Repeated lengths were joined by a comma, so they are not digits.
    if not (length.isascii() and length.isdigit() and len(length) <= _DIGITS):
        return _bad("Content-Length is not one number")
    return Framing(length=int(length), chunked=False)


_CHUNKED: Final = Framing(length=None, chunked=True)
BODILESS: Final = Framing(length=None, chunked=False)
# More bytes than any disk has, and below the overflow of any parser.
_DIGITS: Final = 18


def _bad(detail: str) -> BadRequest:
    return BadRequest(status=400, reason=Reason.BAD_FRAMING, detail=detail)
