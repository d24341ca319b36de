"""Reads the head of the request that a front proxy asks about.

Each family has an endpoint of its own, which reads the fields of this family and no
others: a field that another proxy would set is a client's here.

| family | method | scheme, host | target |
| --- | --- | --- | --- |
| forward-auth | X-Forwarded-Method | X-Forwarded-Proto, -Host | X-Forwarded-Uri |
| auth-request | X-Original-Method | X-Original-URL | X-Original-URL |
| ext-authz | of the check itself | X-Forwarded-Proto, Host | path after the endpoint |

A field of the same family that is not needed may not contradict the others, and neither
may Forwarded; see `contradictions`. All need X-Forwarded-For: without it the client is unknown. The fields are turned into
those of a request that a trusted proxy forwards, and `read_head` validates them: no
rule about a request is repeated here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from gateway.authz.contradictions import FORWARDED, Part, find_contradiction
from gateway.authz.mode import EXT_AUTHZ_PATH, Mode
from gateway.http.fields import Fields
from gateway.http.head import HeadRules, RequestHead, read_head
from gateway.http.refusal import BadRequest
from gateway.http.value import value
from gateway.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontProxyError:
    """The front proxy does not describe the request, or is not trusted.

    detail   what is wrong, for the log; one of a few sentences, never a client's data
    setting  what to set, and where
    """

    status: int
    reason: Reason
    detail: str
    setting: str


@value
class Description:
    """A request as its front proxy describes it; nothing is validated yet."""

    method: str
    target: str
    host: str
    scheme: str


def read_described(
    mode: Mode,
    *,
    method: str,
    raw_target: str,
    fields: Fields | BadRequest,
    peer: str,
    rules: HeadRules,
) -> RequestHead | BadRequest | FrontProxyError:
    """Return the head of the request that the front proxy asks about.

    Args:
        mode: the family.
        method: of the check itself.
        raw_target: of the check itself, as received.
        fields: of the check itself, classified, or why they are invalid.
        peer: address of the front proxy; "" for a Unix socket.
        rules: the trusted proxies.

    Returns:
        FrontProxyError if `peer` is not trusted, or a field of the family is missing
        or repeated; BadRequest if the request itself would be refused, or if a field
        contradicts the description.
    """
    if not rules.trusts(peer):
        return FrontProxyError(
            status=403,
            reason=Reason.PROXY_NOT_TRUSTED,
            detail="the peer is not a trusted proxy",
            setting="server.trusted_proxies",
        )
    if isinstance(fields, BadRequest):
        return fields
    described = _describe(mode, method, raw_target, fields)
    if isinstance(described, FrontProxyError):
        return described
    if _CLIENT not in fields.values:
        return _missing(mode, _CLIENT)
    contradiction = _contradiction(mode, fields, described)
    if contradiction is not None:
        return contradiction
    return read_head(
        method=described.method,
        raw_target=described.target,
        version=(1, 1),
        fields=_of_the_request(fields, described),
        peer=peer,
        tls=False,
        rules=rules,
    )


def _contradiction(
    mode: Mode, fields: Fields, described: Description
) -> BadRequest | None:
    name = find_contradiction(
        fields.values,
        _REPEATS[mode],
        host=described.host,
        scheme=described.scheme,
        target=described.target,
    )
    if name is None:
        return None
    # A client can cause it, so it is the request that is not valid.
    return BadRequest(
        status=400,
        reason=Reason.PROXY_HEADERS,
        detail=f"{_SPELLED[name]} contradicts the request that the front proxy describes",
    )


def _describe(
    mode: Mode, method: str, raw_target: str, fields: Fields
) -> Description | FrontProxyError:
    values = fields.values
    for name in _REQUIRED[mode]:
        text = values.get(name)
        if text is None or (name == _SCHEME and not text):
            return _missing(mode, name)
        if name in fields.repeated or ("," in text and name not in _HAVE_COMMAS):
            return _error(mode, name, "more than one value of {}")
    match mode:
        case Mode.FORWARD_AUTH:
            return Description(
                method=values["x-forwarded-method"],
                target=values["x-forwarded-uri"],
                host=values["x-forwarded-host"],
                scheme=values["x-forwarded-proto"],
            )
        case Mode.AUTH_REQUEST:
            url = _URL(values["x-original-url"])
            if url is None:
                return _error(mode, "x-original-url", "{} is not an absolute URL")
            return Description(
                method=values["x-original-method"],
                target=url[3],
                host=url[2],
                scheme=url[1],
            )
        case Mode.EXT_AUTHZ:
            return Description(
                method=method,
                target=raw_target[len(EXT_AUTHZ_PATH) - 1 :],
                host=values["host"],
                scheme=values["x-forwarded-proto"],
            )
        case _ as never:
            assert_never(never)


def _of_the_request(fields: Fields, described: Description) -> Fields:
    """Return the fields of the request that is described.

    Those that describe it are replaced, and those of the connection and the framing of
    the check are left out. Most front proxies do not send the fields of an upgrade: a
    Sec-WebSocket-Key without Upgrade is a handshake, too. It is held to more, never to
    less, than another request.
    """
    values = dict(fields.values)
    for name in _OF_THE_CHECK:
        values.pop(name, None)
    values["host"], values[_SCHEME] = described.host, described.scheme
    if _KEY in values:
        values.setdefault("upgrade", "websocket")
    if "upgrade" in values:
        values["connection"] = "Upgrade"
    return Fields(
        kept=fields.kept,
        values=values,
        repeated=fields.repeated - _OF_THE_CHECK
        if fields.repeated
        else fields.repeated,
        cookies=fields.cookies,
    )


def _missing(mode: Mode, name: str) -> FrontProxyError:
    return _error(mode, name, "{} is missing")


def _error(mode: Mode, name: str, detail: str) -> FrontProxyError:
    return FrontProxyError(
        status=400,
        reason=Reason.PROXY_HEADERS,
        detail=detail.format(_SPELLED.get(name, name)),
        setting=_SETTINGS[mode],
    )


_CLIENT: Final = "x-forwarded-for"
# On the proxy path an empty one means that of the connection.
_SCHEME: Final = "x-forwarded-proto"
_KEY: Final = "sec-websocket-key"
_REQUIRED: Final[Mapping[Mode, tuple[str, ...]]] = {
    Mode.FORWARD_AUTH: (
        "x-forwarded-method",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-uri",
    ),
    Mode.AUTH_REQUEST: ("x-original-url", "x-original-method"),
    Mode.EXT_AUTHZ: ("host", "x-forwarded-proto"),
}
# A repeated field may also have been joined; in a target a comma is data.
_HAVE_COMMAS: Final = frozenset(("x-forwarded-uri", "x-original-url"))
# What front proxies send in addition, and what of the description it repeats.
_REPEATS: Final[Mapping[Mode, Mapping[str, Part]]] = {
    Mode.FORWARD_AUTH: {"x-forwarded-scheme": Part.SCHEME},
    Mode.AUTH_REQUEST: {
        "x-original-uri": Part.TARGET,
        "x-original-host": Part.HOST,
        "x-original-scheme": Part.SCHEME,
        "x-original-proto": Part.SCHEME,
    },
    Mode.EXT_AUTHZ: {"x-forwarded-host": Part.HOST},
}
# RFC 9110, section 7.6.1, what says where the check itself ends, and what was replaced.
_OF_THE_CHECK: Final = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        FORWARDED,
        "host",
        "transfer-encoding",
        "x-forwarded-host",
        "x-forwarded-port",
        _SCHEME,
    )
)
# Its parts are validated as those of any request.
_URL: Final = re.compile(r"(https?|wss?)://([^/]*)(.*)", re.DOTALL).fullmatch
_SPELLED: Final = {
    FORWARDED: "Forwarded",
    "host": "Host",
    _CLIENT: "X-Forwarded-For",
    "x-forwarded-host": "X-Forwarded-Host",
    "x-forwarded-method": "X-Forwarded-Method",
    "x-forwarded-proto": "X-Forwarded-Proto",
    "x-forwarded-uri": "X-Forwarded-Uri",
    "x-forwarded-scheme": "X-Forwarded-Scheme",
    "x-original-host": "X-Original-Host",
    "x-original-method": "X-Original-Method",
    "x-original-proto": "X-Original-Proto",
    "x-original-scheme": "X-Original-Scheme",
    "x-original-uri": "X-Original-URI",
    "x-original-url": "X-Original-URL",
}
_SETTINGS: Final[Mapping[Mode, str]] = {
    Mode.FORWARD_AUTH: "Traefik and Caddy send X-Forwarded-Method, -Proto, -Host, -Uri "
    "and -For unless configured otherwise; HAProxy: http-request set-header",
    Mode.AUTH_REQUEST: "nginx: proxy_set_header X-Original-URL "
    "$scheme://$http_host$request_uri; proxy_set_header X-Original-Method "
    "$request_method; proxy_set_header X-Forwarded-For $remote_addr;",
    Mode.EXT_AUTHZ: "Envoy: x-forwarded-for and x-forwarded-proto in allowed_headers; "
    "Istio: includeRequestHeadersInCheck; Gateway API: http.allowedHeaders",
}
