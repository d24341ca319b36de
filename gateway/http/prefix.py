"""Gives a path prefix back to a response whose request lost it. Pure.

An upstream with `strip_prefix: /api` sees `/x` where the client asked for `/api/x`. What
it says of paths is true for itself only: Location, and the Path of its cookies.
"""

from gateway.http.host import DEFAULT_PORTS, parse_authority


def restore_location(value: bytes, prefix: bytes, origins: frozenset[str]) -> bytes:
    """Return a Location value with the prefix.

    A path from the root gets it, and a URL of one of `origins`. A relative reference, a
    URL of another origin, and a path that has the prefix stay as they are: apps that
    read X-Forwarded-Prefix write it themselves.
    """
    if value.startswith(b"/") and value[1:2] not in {b"/", b"\\"}:
        return _restore(value, prefix)
    scheme, mark, rest = value.partition(b"://")
    if not mark:
        return value
    end = min(
        (at for sign in b"/?#" if (at := rest.find(sign)) >= 0), default=len(rest)
    )
    origin = canonical_origin(scheme.decode("latin-1"), rest[:end].decode("latin-1"))
    if origin is None or origin not in origins:
        return value
    path = rest[end:]
    absolute = path if path.startswith(b"/") else b"/" + path
    return scheme + mark + rest[:end] + _restore(absolute, prefix)


def restore_cookie_path(value: bytes, prefix: bytes) -> bytes:
    """Return a Set-Cookie value whose Path has the prefix.

    Without Path the browser uses that of its own request, which has the prefix. The
    Path of a `__Host-` cookie is "/" or the cookie is rejected (RFC 6265bis, 4.1.3.2).
    """
    if value.lstrip(b" \t")[:7].lower() == b"__host-":
        return value
    pair, *attributes = value.split(b";")
    restored = [_attribute(each, prefix) for each in attributes]
    return b";".join((pair, *restored))


def canonical_origin(scheme: str, authority: str) -> str | None:
    """Return `scheme://host:port` in one spelling; None if it is not an HTTP origin."""
    found = parse_authority(authority)
    default = DEFAULT_PORTS.get(scheme.lower())
    if found is None or default is None:
        return None
    return f"{scheme.lower()}://{found.host}:{found.port or default}"


def _attribute(attribute: bytes, prefix: bytes) -> bytes:
    name, equals, path = attribute.partition(b"=")
    if name.strip(b" \t").lower() != b"path" or not path.strip().startswith(b"/"):
        return attribute
    restored = _restore(path.strip(), prefix)
    # "/api/" covers what is below only, "/api" the page itself, too.
    return name + equals + (restored.rstrip(b"/") if path.strip() == b"/" else restored)


def _restore(path: bytes, prefix: bytes) -> bytes:
    if path == prefix or path.startswith((prefix + b"/", prefix + b"?", prefix + b"#")):
        return path
    return prefix + path
