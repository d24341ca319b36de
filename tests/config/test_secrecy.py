"""A value is secret by its type in the schema, or because the schema does not know it."""

from pathlib import Path

import pytest

from gateway.config.document import Loc
from gateway.config.load import parse_config
from gateway.config.secrecy import KNOWN_NAMES, is_quotable, is_secret, secrets_of


@pytest.mark.parametrize(
    ("loc", "secret"),
    [
        pytest.param(("server", "admin_token"), True, id="by its type"),
        pytest.param(("server", "admin_token", "a", 0), True, id="below one"),
        pytest.param(("redis", "password"), True, id="optional"),
        pytest.param(("sessions", "secrets", 1), True, id="in a list"),
        pytest.param(("sessions", "secrets"), True, id="the list"),
        pytest.param(
            ("sign_in", "encryption_keys", "key"), True, id="for a list of them"
        ),
        pytest.param(("sever", "listen"), True, id="below an unknown key"),
        pytest.param(("upstreams", "web", "urll"), True, id="an unknown key of a name"),
        pytest.param(("upstreams", "web", "url", 0), False, id="a URL"),
        pytest.param(("routes", 3, "match", "path"), False, id="of a route"),
        pytest.param(
            ("tokens", "profiles", "db", "claims", "x", 0), False, id="a claim"
        ),
        pytest.param((), False, id="the whole"),
    ],
)
def test_what_is_secret_is_known_by_its_place(loc: Loc, secret: bool) -> None:
    assert is_secret(loc) is secret


@pytest.mark.parametrize(
    ("loc", "quotable"),
    [
        (("server", "listen"), True),
        (("server", "lissen"), True),
        (("upstreams", "Web2"), True),
        (("server", "hunter2"), False),
        (("server", "x" * 40), False),
        (("server", "redis://:a@h"), False),
    ],
)
def test_a_key_is_repeated_if_it_is_hardly_a_secret(loc: Loc, quotable: bool) -> None:
    assert is_quotable(loc) is quotable


def test_the_names_of_the_schema_are_known_at_any_depth() -> None:
    assert {"version", "admin_token", "tenant_roles", "header"} <= KNOWN_NAMES


def test_the_secrets_of_a_configuration_are_whole_and_in_parts() -> None:
    text = b"""
version: 1
server: {admin_token: 0123456789abcdef}
redis: {url: "redis+sentinel://u:a%20b@h/name?sentinel_password=c%20d"}
sessions: {format: express-session, secrets: [first-secret, second-secret]}
upstreams: {app: {url: http://app}}
routes: [{match: /**, rule: public, upstream: app}]
"""
    config = parse_config(text, path=Path("g.yaml"), env={}).config

    assert set(secrets_of(config)) >= {
        "0123456789abcdef",
        "a%20b",
        "a b",
        "c d",
        "first-secret",
        "second-secret",
    }
