"""A request, and the checks by which front proxies ask about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from gateway.authz.families import FrontProxyError, read_described
from gateway.authz.mode import Mode
from gateway.http.fields import sort_fields
from gateway.http.head import BadRequest, HeadRules, RequestHead, read_head
from tests.http.heads import raw

PROXY = "10.0.0.5"
RULES = HeadRules(trusted_proxies=(ip_network("10.0.0.0/8"),))
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The request of a client, as it reached the front proxy."""

    method: str = "GET"
    target: str = "/dashboard"
    host: str = "app.example"
    scheme: str = "https"
    client: str = "192.0.2.7"
    headers: Pairs = ()


def own_fields(mode: Mode, requested: Asked) -> list[tuple[str, str]]:
    """What the front proxy itself says of the request."""
    client = ("X-Forwarded-For", requested.client)
    match mode:
        case Mode.FORWARD_AUTH:
            return [
                ("Host", "gateway:9091"),
                ("X-Forwarded-Method", requested.method),
                ("X-Forwarded-Proto", requested.scheme),
                ("X-Forwarded-Host", requested.host),
                ("X-Forwarded-Uri", requested.target),
                client,
            ]
        case Mode.AUTH_REQUEST:
            return [
                ("Host", "gateway"),
                (
                    "X-Original-URL",
                    f"{requested.scheme}://{requested.host}{requested.target}",
                ),
                ("X-Original-Method", requested.method),
                client,
            ]
        case Mode.EXT_AUTHZ:
            return [
                ("Host", requested.host),
                ("X-Forwarded-Proto", requested.scheme),
                client,
            ]


def own_line(mode: Mode, requested: Asked) -> tuple[str, str]:
    """Method and target of the check itself."""
    if mode is Mode.EXT_AUTHZ:
        return requested.method, f"/authz/{mode}{requested.target}"
    return "GET", f"/authz/{mode}"


def check(
    mode: Mode,
    requested: Asked | None = None,
    *,
    fields: Pairs | None = None,
    method: str | None = None,
    target: str | None = None,
    peer: str = PROXY,
    rules: HeadRules = RULES,
) -> RequestHead | BadRequest | FrontProxyError:
    """Read the head that a front proxy asks about; `fields` are all of the check's."""
    requested = requested or Asked()
    line = own_line(mode, requested)
    return read_described(
        mode,
        method=method or line[0],
        raw_target=target or line[1],
        fields=sort_fields(
            raw(
                [*own_fields(mode, requested), *requested.headers]
                if fields is None
                else fields
            )
        ),
        peer=peer,
        rules=rules,
    )


def described(mode: Mode, requested: Asked | None = None) -> RequestHead:
    found = check(mode, requested)
    assert isinstance(found, RequestHead), found
    return found


def proxied(requested: Asked) -> RequestHead | BadRequest:
    """Read the same request where the front proxy forwards it to the gateway."""
    return read_head(
        method=requested.method,
        raw_target=requested.target,
        version=(1, 1),
        fields=sort_fields(
            raw(
                [
                    ("Host", requested.host),
                    ("X-Forwarded-Proto", requested.scheme),
                    ("X-Forwarded-For", requested.client),
                    *requested.headers,
                ]
            )
        ),
        peer=PROXY,
        tls=False,
        rules=RULES,
    )
