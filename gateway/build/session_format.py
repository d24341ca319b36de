"""Build the profile of app-managed sessions."""

from typing import Final

from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.errors import ConfigError, Problem
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.settings import Finding, FormatRefused, FormatSettings
from gateway.sessions.formats.warnings import find_warnings

# What has no end is remembered for ten years.
_ENDLESS: Final = 3650 * 86_400.0


def format_from(loaded: LoadedConfig) -> Profile | None:
    """Compile `sessions` into a profile; None for the gateway's own format.

    Raises:
        ConfigError: a setting cannot be used; all of them, each at its place.
    """
    if not loaded.config.sessions.external:
        return None
    try:
        return compile_format(_settings(loaded.config))
    except FormatRefused as refused:
        found = [_problem(loaded, finding) for finding in refused.findings]
        raise ConfigError(
            sorted(found, key=lambda each: (each.line, each.column))
        ) from None


def remembered(config: Config, profile: Profile) -> float:
    """Return the minimum seconds for which a revocation is stored.

    As long as the app's longest session: a library may rewrite a record that
    was deleted, with a full new lifetime.
    """
    endless = profile.expires is None and profile.allow_no_ttl
    return _ENDLESS if endless else config.sessions.remember_ended


def format_warnings(loaded: LoadedConfig, profile: Profile) -> list[Problem]:
    """Return warnings about settings of the format that are probably not intended."""
    found = [
        _problem(loaded, each)
        for each in find_warnings(_settings(loaded.config), profile)
    ]
    if profile.created is None:
        for at, route in enumerate(loaded.config.routes):
            if route.require.authenticated_within is not None:
                message = (
                    f"{profile.format} does not store the time of sign-in: only "
                    "sign-ins through this gateway pass"
                )
                hint = "set sessions.profile.created if the record has that time"
                place = ("routes", at, "require", "authenticated_within")
                found.append(loaded.problem(message, *place, hint=hint))
    return found


def _settings(config: Config) -> FormatSettings:
    sessions = config.sessions
    cookie = sessions.cookie
    named = "name" in cookie.model_fields_set
    return FormatSettings(
        format=sessions.format,
        secure=config.server.public_url.startswith("https:"),
        cookie_name=cookie.name if named else None,
        cookie_value=cookie.value,
        secrets=tuple(one.get_secret_value() for one in sessions.secrets or ()),
        key_prefix=sessions.key_prefix,
        allow_pickle=sessions.allow_pickle is True,
        profile=sessions.profile or {},
    )


def _problem(loaded: LoadedConfig, finding: Finding) -> Problem:
    place = ("sessions", *finding.where)
    if finding.at_key:
        return loaded.problem_at_key(finding.message, *place, hint=finding.hint)
    return loaded.problem(finding.message, *place, hint=finding.hint)
