from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.fields import Fields, sort_fields
from gateway.http.forwarded import (
    ClientAddress,
    direct_client_address,
    is_trusted,
    parse_address,
    read_client_address,
)
from gateway.http.head import HeadRules
from gateway.http.refusal import BadRequest
from gateway.reasons import Reason

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PEER = "10.0.0.1"

CHAINS = [
    pytest.param("203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1", id="one"),
    pytest.param(
        "1.1.1.1, 203.0.113.9",
        "203.0.113.9",
        "203.0.113.9, 10.0.0.1",
        id="claimed-left",
    ),
    pytest.param(
        "203.0.113.9, 10.0.0.2",
        "203.0.113.9",
        "203.0.113.9, 10.0.0.2, 10.0.0.1",
        id="two-trusted-hops",
    ),
    pytest.param("10.9.9.9", "10.9.9.9", "10.9.9.9, 10.0.0.1", id="all-trusted"),
    pytest.param("a", PEER, PEER, id="unparsable"),
    pytest.param("", PEER, PEER, id="empty"),
    pytest.param("203.0.113.9,", PEER, PEER, id="empty-last"),
    pytest.param("203.0.113.9, unknown", PEER, PEER, id="unknown-last"),
    pytest.param(
        "junk, 203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1", id="junk-left"
    ),
    pytest.param("203.0.113.9:4711", "203.0.113.9", None, id="with-port"),
    pytest.param("[2001:DB8::1]:4711", "2001:db8::1", None, id="ipv6-with-port"),
    pytest.param("2001:db8:0::1", "2001:db8::1", None, id="ipv6"),
    pytest.param("::ffff:203.0.113.9", "203.0.113.9", None, id="ipv4-mapped"),
    pytest.param("::ffff:10.0.0.2, 8.8.8.8", "8.8.8.8", None, id="ipv4-mapped-left"),
    pytest.param(
        "203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9", None, id="ipv4-mapped-trusted"
    ),
    pytest.param("fe80::1%eth0", PEER, PEER, id="zone"),
    pytest.param("0300.0.0.1", PEER, PEER, id="octal"),
    pytest.param("127.1", PEER, PEER, id="short-form"),
]


@pytest.mark.parametrize(("value", "client", "chain"), CHAINS)
def test_the_chain_is_walked_from_the_right(
    value: str, client: str, chain: str | None
) -> None:
    found = read_client_address(PEER, {"x-forwarded-for": value}, TRUSTED)

    assert isinstance(found, ClientAddress)
    assert found.client == client
    assert found.chain == (chain or found.chain)


FORWARDED = [
    pytest.param("for=203.0.113.9", "203.0.113.9", None, None, id="for"),
    pytest.param(
        'For="[2001:db8::1]:47";Proto=https;Host="a.example:8443"',
        "2001:db8::1",
        "https",
        "a.example:8443",
        id="quoted",
    ),
    pytest.param(
        "for=1.1.1.1;proto=https, for=203.0.113.9;proto=http",
        "203.0.113.9",
        "http",
        None,
        id="claimed-left",
    ),
    pytest.param(
        "for=203.0.113.9;proto=https;host=a.example, for=10.0.0.2;proto=http;host=b",
        "203.0.113.9",
        "https",
        "a.example",
        id="the-element-of-the-client",
    ),
    pytest.param("for=_hidden;proto=https", PEER, "https", None, id="hidden"),
    pytest.param('for="203.0.113\\.9"', "203.0.113.9", None, None, id="quoted-pair"),
    pytest.param("proto=https", PEER, "https", None, id="without-for"),
    pytest.param(
        'host="a.example";for=203.0.113.9 ; by=x',
        "203.0.113.9",
        None,
        "a.example",
        id="spaces",
    ),
]


@pytest.mark.parametrize(("value", "client", "scheme", "host"), FORWARDED)
def test_forwarded_is_read_where_x_forwarded_for_is_absent(
    value: str, client: str, scheme: str | None, host: str | None
) -> None:
    found = read_client_address(PEER, {"forwarded": value}, TRUSTED)

    assert isinstance(found, ClientAddress)
    assert (found.client, found.scheme) == (client, scheme)
    assert (found.authority.text if found.authority else None) == host


def test_x_forwarded_for_goes_before_forwarded() -> None:
    values = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=1.1.1.1;proto=https"}

    found = read_client_address(PEER, values, TRUSTED)

    assert isinstance(found, ClientAddress)
    assert (found.client, found.scheme) == ("203.0.113.9", None)


def test_an_empty_field_of_the_proxy_does_not_make_room_for_forwarded() -> None:
    """Hostile: the proxy clears its own field, and passes the client's other one on."""
    forged = "for=1.1.1.1;proto=https;host=evil.example"
    cleared = {"x-forwarded-for": "", "forwarded": forged}

    found = read_client_address(PEER, cleared, TRUSTED)

    assert found == ClientAddress(client=PEER, chain=PEER, known=False)


@pytest.mark.parametrize("value", ["", " ", ","])
def test_an_empty_scheme_or_host_is_not_that_of_forwarded(value: str) -> None:
    values = {
        "forwarded": "for=203.0.113.9;proto=https;host=evil.example",
        "x-forwarded-proto": value.strip(),
        "x-forwarded-host": value.strip(),
    }

    found = read_client_address(PEER, values, TRUSTED)

    assert isinstance(found, ClientAddress)
    assert (found.client, found.scheme, found.authority) == ("203.0.113.9", None, None)


def test_an_empty_field_is_kept_apart_from_an_absent_one() -> None:
    """Through the parser of fields and the memo, in both orders."""
    rules = HeadRules(trusted_proxies=TRUSTED)
    forwarded = (b"Forwarded", b"for=1.1.1.1;host=evil.example")
    absent = sort_fields([forwarded])
    empty = sort_fields([forwarded, (b"X-Forwarded-For", b"")])
    assert isinstance(absent, Fields)
    assert isinstance(empty, Fields)

    for fields, client in ((absent, "1.1.1.1"), (empty, PEER), (absent, "1.1.1.1")):
        found = rules.client_reported(PEER, fields)

        assert isinstance(found, ClientAddress)
        assert found.client == client


CHAIN_OF_TWO = "203.0.113.9, 10.0.0.2"
ELEMENTS = [
    # hostile: what the client sent stands left of what the proxy appended
    pytest.param("203.0.113.9", "https, http", "a, b", "443, 80", "http b 80", id="left"),
    pytest.param(None, "https, http", "a, b", "443, 80", "http b 80", id="no-chain"),
    pytest.param("1.1.1.1,", "https,http", "a,b", "443,80", "http b 80", id="no-hop"),
    pytest.param("203.0.113.9", "ftp, https", "a/b, b", "0, 80", "https b 80", id="junk"),
    # as chains of proxies write them
    pytest.param(CHAIN_OF_TWO, "https, http", "a, b", "443, 80", "https a 443", id="two"),
    pytest.param(CHAIN_OF_TWO, "https", "a", "443", "https a 443", id="one-for-all"),
    pytest.param(CHAIN_OF_TWO, "https,,http,", "a, ,b", ",443,80", "https a 443", id="empties"),
    pytest.param(CHAIN_OF_TWO, "", " ", ",", "None None None", id="nothing"),
    pytest.param(CHAIN_OF_TWO, "http, https, http", "x, a, b", "1, 443, 80", "https a 443", id="three"),
]  # fmt: skip


@pytest.mark.parametrize(("chain", "scheme", "host", "port", "believed"), ELEMENTS)
def test_the_element_of_the_believed_hop_counts(
    chain: str | None, scheme: str, host: str, port: str, believed: str
) -> None:
    values = {
        "x-forwarded-proto": scheme,
        "x-forwarded-host": host.strip(),
        "x-forwarded-port": port,
        **({} if chain is None else {"x-forwarded-for": chain}),
    }

    found = read_client_address(PEER, values, TRUSTED)

    assert isinstance(found, ClientAddress)
    name = found.authority.text if found.authority else None
    assert f"{found.scheme} {name} {found.port}" == believed


EMPTY_FORWARDED = [
    "for=203.0.113.9;proto=https,",
    ", ,for=203.0.113.9;proto=https",
    ";for=203.0.113.9;;proto=https; ",
    "for=203.0.113.9;proto=https, ;, for=10.0.0.2;proto=http",
    "for=1.1.1.1;proto=http ,,for=203.0.113.9;proto=https",
]


@pytest.mark.parametrize("value", EMPTY_FORWARDED)
def test_empty_elements_of_forwarded_are_ignored(value: str) -> None:
    found = read_client_address(PEER, {"forwarded": value}, TRUSTED)

    assert isinstance(found, ClientAddress)
    assert (found.client, found.scheme) == ("203.0.113.9", "https")


@pytest.mark.parametrize("value", ["", ",", " ; ,"])
def test_a_field_without_elements_is_absent(value: str) -> None:
    found = read_client_address(PEER, {"forwarded": value}, TRUSTED)

    assert isinstance(found, ClientAddress)
    assert (found.client, found.scheme) == (PEER, None)


REFUSED = [
    pytest.param("x-forwarded-proto", "ftp", id="other-scheme"),
    pytest.param("x-forwarded-proto", "https, ftp", id="other-scheme-last"),
    pytest.param("x-forwarded-host", "evil@a", id="userinfo"),
    pytest.param("x-forwarded-port", "0", id="port-nought"),
    pytest.param("x-forwarded-port", "65536", id="port-too-large"),
    pytest.param("x-forwarded-port", "+80", id="port-sign"),
    pytest.param("x-forwarded-port", "\xb9", id="port-superscript"),
    pytest.param("forwarded", "for", id="no-value"),
    pytest.param("forwarded", 'for="a', id="open-quote"),
    pytest.param("forwarded", "for=a;for=b", id="twice-in-one-element"),
    pytest.param("forwarded", "for=a b=c", id="no-separator"),
    pytest.param("forwarded", "for=1.1.1.1;host=a/b", id="bad-host-inside"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_malformed_field_of_a_trusted_proxy_is_refused(name: str, value: str) -> None:
    found = read_client_address(PEER, {name: value}, TRUSTED)

    assert isinstance(found, BadRequest)
    assert (found.status, found.reason) == (400, Reason.BAD_HEADER)


@pytest.mark.parametrize(
    ("values", "meant"), [("HTTPS", "https"), ("wss", "https"), ("ws", "http")]
)
def test_schemes_are_read_without_case_and_web_sockets_are_http(
    values: str, meant: str
) -> None:
    found = read_client_address(PEER, {"x-forwarded-proto": values}, TRUSTED)

    assert isinstance(found, ClientAddress)
    assert found.scheme == meant


def test_very_long_chains_are_read_in_part() -> None:
    value = ", ".join(["10.0.0.2"] * 5000)

    found = read_client_address(PEER, {"x-forwarded-for": value}, TRUSTED)

    assert isinstance(found, ClientAddress)
    assert found.chain.count(",") == 32


@given(st.text(), st.sampled_from(["x-forwarded-for", "forwarded", "x-forwarded-host"]))
def test_any_text_gives_a_value(text: str, name: str) -> None:
    found = read_client_address(PEER, {name: text}, TRUSTED)

    assert isinstance(found, BadRequest) or found.chain.endswith(PEER)


def test_a_peer_is_known_by_one_address() -> None:
    assert direct_client_address("::ffff:192.0.2.1").client == "192.0.2.1"
    assert direct_client_address("").chain == ""
    assert str(parse_address("::FFFF:10.0.0.1")) == "10.0.0.1"
    assert parse_address("a") is None


def test_trust_is_only_what_is_configured() -> None:
    anonymous = HeadRules()
    rules = HeadRules(trusted_proxies=TRUSTED)

    assert not anonymous.trusts("10.0.0.1")
    assert not anonymous.trusts("127.0.0.1")
    assert not anonymous.trusts("")
    assert rules.trusts("::ffff:10.0.0.1")
    assert not rules.trusts("192.168.0.1")
    assert not rules.trusts("junk")
    assert HeadRules(trust_unix=True).trusts("")
    assert not is_trusted(None, TRUSTED)


def test_behind_a_unix_socket_the_chain_holds_only_addresses() -> None:
    found = read_client_address("", {"x-forwarded-for": "203.0.113.9"}, ())

    assert isinstance(found, ClientAddress)
    assert (found.client, found.chain) == ("203.0.113.9", "203.0.113.9")
