"""Validators of HTTP values: headers, cookies, methods, hosts, tenants."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.config.addresses import is_host
from gateway.config.diagnostic import expected, one_of, refused
from gateway.http.target import OPT_IN
from gateway.oidc.claims import parse_claim_text


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSource:
    """Where a request names its tenant; `pattern` is empty for the session."""

    source: Literal["session", "host", "path", "header"]
    pattern: str = ""


def name(value: Any) -> str:
    """Accept a name for something in this file: letters, digits, "_", "-", "."."""
    if not isinstance(value, str) or _NAME(value) is None:
        raise expected('a name of letters, digits, "_", "-" and "."')
    return value


def cookie_name(value: Any) -> str:
    """Accept a token of RFC 9110, as required by RFC 6265, section 4.1.1."""
    if not isinstance(value, str) or _TOKEN(value) is None:
        raise expected("a cookie name: letters, digits and !#$%&'*+-.^_`|~")
    return value


def header_name(value: Any) -> str:
    """Accept a header that may be set towards an upstream."""
    if objection := header_objection(value):
        raise refused(objection)
    return str(value)


def claim_template(value: Any) -> str:
    """Accept a text with placeholders for claims, such as "{email}"."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise expected('text such as "{email}"', "put it in quotes")
    try:
        parse_claim_text(value)
    except ValueError as error:
        raise refused(str(error)) from None
    return value


def level(value: Any) -> str:
    """Accept an authenticator assurance level."""
    if value not in _LEVELS:
        raise one_of(value, _LEVELS)
    return str(value)


def claim_template_or_mapping(value: Any) -> Any:
    """Accept a text with placeholders; anything else is left to the schema."""
    return claim_template(value) if isinstance(value, str) else value


def name_or_mapping(value: Any) -> Any:
    """Accept a name; a mapping and a list are left to the schema."""
    return value if isinstance(value, dict | tuple) else name(value)


def header_objection(value: Any) -> str:
    """Return why this header may not be set (RFC 9110, section 5.1), or ""."""
    if not isinstance(value, str) or _TOKEN(value) is None:
        return "expected a header name: letters, digits and !#$%&'*+-.^_`|~"
    folded = value.lower().replace("_", "-").replace(".", "-")
    if folded in OURS or folded.startswith(("sec-", "proxy-")):
        return f'the header "{value}" is reserved'
    return ""


def stripped_header(value: Any) -> str:
    """Accept a header name that is not passed on, or the beginning of one and "*"."""
    found = value if isinstance(value, str) else ""
    begins = found.endswith("*")
    bare = found.removesuffix("*")
    if "*" in bare or _TOKEN(bare) is None:
        raise expected('a header name, or the beginning of one and "*": X-Corp-*')
    folded = bare.lower().replace("_", "-").replace(".", "-")
    needed = [
        name
        for name in _HANDSHAKE
        if name == folded or (begins and name.startswith(folded))
    ]
    if needed:
        raise refused(
            f'"{found}" would remove {needed[0]}, without which there is no WebSocket'
        )
    if folded in _FRAMING and not begins:
        raise refused(f'the header "{found}" is always set by the gateway itself')
    return found


def domain(value: Any) -> str:
    """Accept the Domain of a cookie: a host name with at least two labels."""
    found = value.lower().removeprefix(".") if isinstance(value, str) else ""
    if _DOMAIN(found) is None:
        raise expected("a domain such as example.com")
    return found


def admin_host(value: Any) -> str:
    """Accept a host name, or "*." before one; no port. Gives it in lower case."""
    found = value.lower().removesuffix(".") if isinstance(value, str) else ""
    if _MATCHED_HOST(found.removeprefix("*.")) is None:
        raise expected("a host such as gateway.internal or *.internal, without port")
    return found


def host_pattern(value: Any) -> str:
    """Accept a host to match: exact, or "*." or "{tenant}." before one; no port."""
    found = value.lower().removesuffix(".") if isinstance(value, str) else ""
    bare = found.removeprefix("*.")
    if _MATCHED_HOST(bare.removeprefix("{tenant}.")) is None or not is_host(bare):
        raise expected("a host such as app.example.com or *.example.com, without port")
    return found


def method(value: Any) -> str:
    """Accept a method of HTTP, in capitals; CONNECT and TRACE are never proxied."""
    if isinstance(value, str) and value in METHODS:
        return value
    near = value.upper() if isinstance(value, str) else ""
    raise expected(
        "a method such as GET or POST",
        f'did you mean "{near}"?' if near in METHODS else "",
    )


def escape(value: Any) -> str:
    """Accept one of the ambiguous spellings a route may opt in to."""
    found = value.upper() if isinstance(value, str) else ""
    if found not in OPT_IN:
        raise expected("one of " + ", ".join(OPT_IN))
    return found


def tenant_source(value: Any) -> TenantSource:
    """Accept session, {host: …}, {path: …} or {header: …}."""
    what = (
        'session, {host: "{tenant}.example.com"}, {path: "/t/{tenant}/**"} '
        "or {header: X-Tenant}"
    )
    if value == "session":
        return TenantSource(source="session")
    if not isinstance(value, Mapping) or len(value) != 1:
        raise expected(what)
    ((kind, pattern),) = value.items()
    if kind == "host" and isinstance(pattern, str) and _TENANT_HOST(pattern):
        return TenantSource(source="host", pattern=pattern.lower())
    if kind == "path" and isinstance(pattern, str) and _TENANT_PATH(pattern):
        return TenantSource(source="path", pattern=pattern)
    if kind == "header":
        return TenantSource(source="header", pattern=header_name(pattern))
    raise expected(what)


_LEVELS: Final = ("aal1", "aal2", "aal3")
# RFC 9110 section 5.6.2
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}").fullmatch
# Listing these would have no effect: the gateway consumes them and writes its own.
_FRAMING: Final = frozenset(
    ("connection", "content-length", "cookie", "host", "transfer-encoding", "upgrade")
)
_HANDSHAKE: Final = (
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}").fullmatch
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})+").fullmatch
_MATCHED_HOST = re.compile(
    rf"(?=.{{1,253}}$)(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])"
).fullmatch
_TENANT_HOST = re.compile(
    r"(?:[A-Za-z0-9-]+\.)*\{tenant\}(?:\.[A-Za-z0-9-]+)+"
).fullmatch
_TENANT_PATH = re.compile(
    r"(?:/[A-Za-z0-9._~-]+)*/\{tenant\}(?:/[A-Za-z0-9._~-]+)*(?:/\*\*)?"
).fullmatch
METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "COPY",
    "LOCK",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "QUERY",
    "REPORT",
    "SEARCH",
    "UNLOCK",
)
# What belongs to the connection, to the framing, or is set by the gateway itself.
OURS: Final = frozenset(
    [
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "set-cookie",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-real-ip",
        "x-request-id",
    ]
)
