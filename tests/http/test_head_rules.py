"""What is remembered of a proxy's clients is what would be read again."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.fields import Fields, sort_fields
from gateway.http.forwarded import read_client_address
from gateway.http.head_rules import HeadRules

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
RULES = HeadRules(trusted_proxies=TRUSTED)
PEERS = ["10.0.0.1", "10.0.0.2", "fd00::1"]


def sorted_(*pairs: tuple[str, str]) -> Fields:
    found = sort_fields([(name.encode(), value.encode()) for name, value in pairs])
    assert isinstance(found, Fields)
    return found


reported = st.tuples(
    st.sampled_from(
        ["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host"]
        + ["X-Forwarded-Port", "Accept"]
    ),
    st.sampled_from(
        [
            "192.0.2.1",
            "192.0.2.1, 10.0.0.2",
            "for=192.0.2.1;proto=https",
            "https",
            "a:1",
        ]
        + ["80", "x", "", "80, 80"]
    ),
)


@given(st.lists(st.tuples(st.sampled_from(PEERS), st.lists(reported, max_size=4))))
def test_what_is_remembered_is_what_is_read(
    requests: list[tuple[str, list[tuple[str, str]]]],
) -> None:
    for peer, pairs in requests:
        fields = sorted_(*pairs)
        again = read_client_address(peer, fields.values, TRUSTED)

        assert RULES.client_reported(peer, fields) == again
        assert RULES.client_reported(peer, fields) == again


def test_clients_that_are_invented_do_not_fill_the_memory() -> None:
    rules = HeadRules(trusted_proxies=TRUSTED)

    for number in range(10_000):
        rules.client_reported("10.0.0.1", sorted_(("X-Forwarded-For", f"x{number}")))
        assert not rules.trusts(f"192.0.2.{number}")
    rules.client_reported("10.0.0.1", sorted_(("X-Forwarded-For", "9" * 10_000)))

    assert len(rules._reported) <= 4096
    assert len(rules._trusted) <= 4096
    assert all(len(value or "") < 600 for key in rules._reported for value in key)
