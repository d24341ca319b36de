"""Where a process listens, and with which limits."""

import pytest

from gateway.build.listeners import addresses_of, listener_limits
from tests.config.parsed import load, whole


@pytest.mark.parametrize(
    ("server", "addresses"),
    [
        ("{listen: '127.0.0.1:1', admin: null}", ("127.0.0.1:1",)),
        (
            "{listen: '127.0.0.1:1', admin: '127.0.0.1:2'}",
            ("127.0.0.1:1", "127.0.0.1:2"),
        ),
    ],
)
def test_the_admin_listener_is_an_address_where_there_is_one(
    server: str, addresses: tuple[str, ...]
) -> None:
    config = load(whole(f"server: {server}")).config

    assert addresses_of(config) == addresses


def test_limits_are_those_of_the_file() -> None:
    config = load(
        whole("server: {limits: {connections: 7, address_percent: 25}}")
    ).config

    limits = listener_limits(config)

    assert (limits.connections, limits.share) == (7, 0.25)
