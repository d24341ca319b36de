"""Validators of addresses: listeners, DNS servers, networks."""

import re
from ipaddress import (
    AddressValueError,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from pathlib import Path
from typing import Any, Final

from gateway.config.diagnostic import expected


def split_listen(text: str) -> tuple[str, int] | Path:
    """Return what a legal `listen` says: (host, port), or the path of a socket."""
    if text.startswith("unix:"):
        return Path(text.removeprefix("unix:"))
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def listen(value: Any) -> str:
    """Accept host:port, [v6]:port or unix:/path."""
    what = "an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/gateway.sock"
    if not isinstance(value, str):
        raise expected(what)
    if value.startswith("unix:"):
        if UNIX_ADDRESS(value) is None:
            raise expected("unix: followed by an absolute path")
        return value
    if _PORT(value):
        raise expected(what, "write 0.0.0.0 before the colon to listen everywhere")
    if (found := _HOST_PORT(value)) is None or not is_host(found["host"]):
        raise expected(what)
    if int(found["port"]) > LAST_PORT:
        raise expected("a port of at most 65535")
    return value.lower()


def dns_server(value: Any) -> str:
    """Accept an IP address, with or without a port; returns `address:port`."""
    what = "an IP address such as 10.0.0.53, 10.0.0.53:5353 or [fd00::53]:53"
    if not isinstance(value, str):
        raise expected(what)
    found = _SERVER(value)
    host, port = (
        (found["six"] or found["four"], found["port"]) if found else (value, None)
    )
    try:
        address = ip_address(host)
    except ValueError:
        raise expected(what) from None
    number = int(port or _DNS_PORT)
    if not 0 < number <= LAST_PORT:
        raise expected(what)
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"{shown}:{number}"


_DNS_PORT: Final = 53


_SERVER = re.compile(
    r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:]*))(?::(?P<port>[0-9]{1,5}))?"
).fullmatch


def network(value: Any) -> str:
    """Accept an address or a network in CIDR form, without stray host bits."""
    what = "an address or a network such as 10.0.0.0/8"
    if not isinstance(value, str):
        raise expected(what)
    try:
        found = ip_network(value, strict=False)
    except ValueError:
        raise expected(what) from None
    if "/" in value and value.split("/")[0] != str(found.network_address):
        try:
            ip_network(value)
        except ValueError:
            hint = f"the network is {found}"
            raise expected("a network address without host bits", hint) from None
    if found.version == 6 and found.subnet_of(_MAPPED):
        # Addresses of that form are compared as the IPv4 addresses that they are.
        start = found.network_address.ipv4_mapped
        hint = f"write {start}/{found.prefixlen - _MAPPED.prefixlen}"
        raise expected("an IPv4 network in its own form", hint)
    return str(found)


_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def is_local(address: str) -> bool:
    """Whether a legal `listen` is reached from this machine only."""
    place = split_listen(address)
    return not isinstance(place, tuple) or is_loopback(place[0])


def is_loopback(host: str) -> bool:
    """Whether a host is the loopback interface by its very name."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_host(host: str) -> bool:
    """Whether what looks like an IPv6 address is one."""
    if not host.startswith("["):
        return True
    try:
        IPv6Address(host[1:-1])
    except AddressValueError:
        return False
    return True


HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"


_HOST_PORT = re.compile(HOST + r":(?P<port>[0-9]{1,5})").fullmatch


_PORT = re.compile(r":?[0-9]{1,5}").fullmatch


UNIX_ADDRESS = re.compile(r"unix:/[!-~]{1,99}").fullmatch


LAST_PORT: Final = 65535
