"""Validators of URLs: origins, upstreams, links, providers."""

import re
from typing import Any

from gateway.config.addresses import HOST, LAST_PORT, UNIX_ADDRESS, is_host
from gateway.config.diagnostic import expected
from gateway.oidc.discovery import is_safe_url


def origin(value: Any) -> str:
    """Accept http(s)://host[:port] and nothing after it."""
    what = "an origin such as https://app.example.com"
    if not isinstance(value, str) or (found := _ORIGIN(value)) is None:
        raise expected(what, _origin_hint(value))
    if not is_host(found["host"]) or int(found["port"] or 1) > LAST_PORT:
        raise expected(what)
    return value.lower().removesuffix("/")


def return_origin(value: Any) -> str:
    """Accept an origin; its host may be "*." and a domain of at least two labels."""
    if not isinstance(value, str) or "://*." not in value:
        return origin(value)
    plain = origin(value.replace("://*.", "://", 1))
    domain = plain.partition("://")[2]
    if "." not in domain.partition(":")[0] or domain[:1].isdigit() or "[" in domain:
        raise expected("*. before a domain such as example.com")
    return plain.replace("://", "://*.", 1)


def upstream_url(value: Any) -> str:
    """Accept http://, https:// without a path, or unix:/path (HTTP over a socket)."""
    what = "a URL such as http://127.0.0.1:3000, https://app.internal or unix:/run/app"
    if isinstance(value, str) and value.startswith("unix:"):
        if UNIX_ADDRESS(value) is None:
            raise expected("unix: followed by an absolute path")
        return value
    if not isinstance(value, str) or (found := _ORIGIN(value)) is None:
        raise expected(what, _origin_hint(value))
    if not is_host(found["host"]) or int(found["port"] or 1) > LAST_PORT:
        raise expected(what)
    return value.lower().removesuffix("/")


def link(value: Any) -> str:
    """Accept a path on the gateway's origin, or an absolute http(s) URL."""
    what = "a path such as /auth/login, or an absolute http(s) URL"
    if not isinstance(value, str) or _LINK(value) is None:
        raise expected(what)
    if value.startswith("/"):
        return value
    found = _ORIGIN("/".join(value.split("/")[:3]).split("?")[0])
    if found is None or not is_host(found["host"]):
        raise expected(what)
    return value


def issuer(value: Any) -> str:
    """Accept the issuer of an OpenID Connect provider, unchanged."""
    what = "an issuer such as https://id.example.com/realms/acme"
    if not is_safe_url(value) or "?" in value:
        raise expected(what, _provider_hint(value))
    return str(value)


def provider_url(value: Any) -> str:
    """Accept an endpoint of a provider: https, or http on a loopback address."""
    if not is_safe_url(value):
        raise expected("an https URL", _provider_hint(value))
    return str(value)


def _provider_hint(value: Any) -> str:
    if isinstance(value, str) and value.startswith("http://"):
        return "http is accepted for 127.0.0.1, localhost and [::1] only"
    return ""


def _origin_hint(value: Any) -> str:
    if not isinstance(value, str) or not value.lower().startswith(
        ("http://", "https://")
    ):
        return "it starts with http:// or https://"
    rest = value.split("://", 1)[1]
    if "@" in rest:
        return "no user name and no password here"
    if any(sign in rest for sign in "/?#"):
        return "no path and no query after the host"
    return ""


_ORIGIN = re.compile(
    r"(?i:https?)://" + HOST + r"(?::(?P<port>[0-9]{1,5}))?/?"
).fullmatch


_LINK = re.compile(r"(?:/(?![/\\])|https?://)[!-~]*(?<!\\)").fullmatch
