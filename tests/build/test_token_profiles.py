"""From the configuration to what mints, and each mistake with its place."""

from pathlib import Path

import pytest

from gateway.build.token_profiles import profiles_from
from gateway.config.load import LoadedConfig, parse_config
from gateway.errors import ConfigError

HEAD = """\
version: 1
upstreams: {app: {url: "http://127.0.0.1:3000"}}
routes: [{match: /**, rule: protected, upstream: app}]
tokens:
"""


def load(tokens: str, folder: Path = Path("/nowhere")) -> LoadedConfig:
    return parse_config((HEAD + tokens).encode(), path=folder / "g.yaml", env={})


def test_profiles_are_compiled() -> None:
    loaded = load(
        """\
  profiles:
    db:
      audience: postgrest
      header: Authorization
      cookie: db_jwt
      claims:
        tenant_id: "{tenant.id}"
        list: [1, "{session.id}"]
        https://hasura.io/jwt/claims: {x-hasura-allowed-roles: "{identity.roles}"}
    web: {audience: web, cookie: web_jwt}
"""
    )

    profiles = profiles_from(loaded)

    assert list(profiles) == ["db", "web"]
    assert profiles["db"].needs_tenant
    assert profiles["db"].cookie == "db_jwt"
    assert profiles["web"].header is None
    assert not profiles["web"].needs_tenant


def test_a_claim_that_the_schema_lets_pass_is_refused_at_its_place() -> None:
    loaded = load(
        """\
  profiles:
    db:
      audience: postgrest
      header: Authorization
      claims:
        ok: "{tenant.id}"
        "a{b": 1
"""
    )

    with pytest.raises(ConfigError) as caught:
        profiles_from(loaded)

    (problem,) = caught.value.problems
    assert problem.line == 11
    assert "names of claims" in problem.message
