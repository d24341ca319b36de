"""The id in a path of the admin API, byte for byte as sent."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp import web

# RFC 3986, section 2.1: "%" begins an escape and nothing else.
_ESCAPED: Final = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})+").fullmatch
_AT: Final = 3
"""The segment of the id, in `/admin/sessions/{id}` and `/admin/identities/{id}/…`."""


def named(request: web.Request) -> str:
    """Return the id in the path, percent-decoded once.

    aiohttp leaves invalid escapes unchanged, so two paths could name one id.

    Raises:
        HTTPBadRequest: an escape is malformed, or the id is not UTF-8.
    """
    segment = request.raw_path.partition("?")[0].split("/")[_AT]
    if _ESCAPED(segment) is None:
        raise web.HTTPBadRequest
    raw = unquote_to_bytes(segment.encode("utf-8", "surrogateescape"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise web.HTTPBadRequest from None
