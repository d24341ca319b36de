"""Build token profiles."""

from gateway.config.load import LoadedConfig
from gateway.errors import ConfigError, Problem
from gateway.tokens.claims import ClaimsError, compile_claims
from gateway.tokens.minter import TokenProfile


def profiles_from(loaded: LoadedConfig) -> dict[str, TokenProfile]:
    """Compile every token profile.

    Raises:
        ConfigError: with a problem, and its place, for each that cannot be.
    """
    profiles: dict[str, TokenProfile] = {}
    problems: list[Problem] = []
    for name, profile in loaded.config.tokens.profiles.items():
        try:
            claims = compile_claims(profile.claims or {})
        except ClaimsError as error:
            place = ("tokens", "profiles", name, "claims", *error.path)
            problems.append(loaded.problem(str(error), *place))
            continue
        profiles[name] = TokenProfile(
            name=name,
            audience=profile.audience[0]
            if len(profile.audience) == 1
            else profile.audience,
            lifetime=profile.lifetime,
            header=profile.header,
            cookie=profile.cookie,
            claims=claims,
            admin_roles=frozenset(loaded.config.roles.admin)
            if profile.claims is None
            else None,
        )
    if problems:
        raise ConfigError(problems)
    return profiles
