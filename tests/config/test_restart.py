"""Which changes wait for a restart; all others are taken at once."""

import pytest

from gateway.config.restart import check_same_kind, waits_for_restart
from gateway.errors import ConfigError
from tests.config.parsed import load, whole

NAMED = [
    ("server: {listen: 127.0.0.1:8081}", "server.listen"),
    ("server: {admin: 127.0.0.1:9091}", "server.admin"),
    ("server: {admin: null}", "server.admin"),
    ("server: {workers: 2}", "server.workers"),
    ("server: {tls: {certificate: a, key: b}}", "server.tls"),
    ("server: {timeouts: {drain: 1s}}", "server.timeouts"),
    ("redis: {timeout: 1s}", "redis"),
    ("dns: {servers: 10.0.0.53}", "dns"),
    ("sessions: {max_per_identity: 3}", "sessions.max_per_identity"),
]


@pytest.mark.parametrize(("line", "name"), NAMED)
def test_what_belongs_to_the_process_waits(line: str, name: str) -> None:
    before, after = load(whole()).config, load(whole(line)).config

    assert waits_for_restart(before, after) == (name,)
    assert waits_for_restart(after, after) == ()


def test_how_long_an_end_is_remembered_waits() -> None:
    lines = (
        "sessions: {format: lucia}",
        "sessions: {format: lucia, remember_ended: 40d}",
    )
    before, after = (load(whole(line)).config for line in lines)

    assert waits_for_restart(before, after) == ("sessions.remember_ended",)


@pytest.mark.parametrize(
    "line",
    [
        "server: {public_url: https://other.example}",
        "server: {limits: {body_bytes: 1KiB}}",
        "sessions: {lifespan: 1h}",
        "tokens: {lifetime: 30s}",
        "log: {level: debug}",
    ],
)
def test_what_is_compiled_is_taken_at_once(line: str) -> None:
    before, after = load(whole()).config, load(whole(line)).config

    assert waits_for_restart(before, after) == ()


def test_a_renewed_certificate_is_taken_at_once() -> None:
    line = "server: {tls: {certificate: %s.pem, key: %s.key}}"
    before, after = (load(whole(line % (name, name))).config for name in "ab")

    assert waits_for_restart(before, after) == ()


def test_sessions_of_another_kind_are_refused_with_their_line() -> None:
    before, after = load(whole()), load(whole("sessions: {format: lucia}"))

    with pytest.raises(ConfigError) as caught:
        check_same_kind(before.config, after)

    (problem,) = caught.value.problems
    assert (problem.line, "needs a restart" in problem.message) == (2, True)
    check_same_kind(after.config, after)
