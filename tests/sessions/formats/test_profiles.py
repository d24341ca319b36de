"""The table of libraries."""

import pytest

from gateway.sessions.formats.compile_profile import PROFILE_KEYS, compile_format
from gateway.sessions.formats.profiles import LIBRARIES, Signed
from gateway.sessions.formats.settings import FormatSettings
from tests.sessions.formats.samples import SECRETS


@pytest.mark.parametrize("name", [name for name in LIBRARIES if name != "json"])
def test_every_library_needs_no_more_than_its_secrets(name: str) -> None:
    secrets = SECRETS if LIBRARIES[name].signed is Signed.ALWAYS else ()

    profile = compile_format(FormatSettings(format=name, secrets=secrets))

    assert profile.format == name
    assert profile.identity
    assert set(LIBRARIES[name].profile) <= set(PROFILE_KEYS)


def test_what_an_application_keeps_next_to_the_mark_is_not_read() -> None:
    """A role that a sign-up form left in the session makes no administrator."""
    for name in ("flask-session", "django", "aiohttp-session"):
        profile = compile_format(FormatSettings(format=name))

        assert profile.traits == ()
        assert not profile.roles
        assert not profile.tenants
        assert not profile.active_tenant


def test_no_library_is_allowed_to_pickle_unasked() -> None:
    for name, library in LIBRARIES.items():
        assert "pickle" not in library.profile.get("values", ())
        assert library.may_pickle == (name in ("flask-session", "django"))
