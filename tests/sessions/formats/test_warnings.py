"""What is allowed, and probably not meant."""

import pytest

from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.formats.warnings import find_warnings
from tests.sessions.formats.samples import SECRETS, settings


@pytest.mark.parametrize(
    ("given", "where"),
    [
        pytest.param(settings("django", secrets=SECRETS), ("secrets",), id="unused"),
        pytest.param(
            settings("better-auth", secrets=SECRETS * 2), ("secrets",), id="first-only"
        ),
        pytest.param(
            settings("better-auth", secrets=SECRETS),
            ("profile", "tenants"),
            id="tenant",
        ),
        pytest.param(
            settings("aiohttp-session"), ("profile", "allow_no_ttl"), id="for-ever"
        ),
    ],
)
def test_what_is_probably_not_meant_is_doubted(
    given: FormatSettings, where: tuple[str, ...]
) -> None:
    found = find_warnings(given, compile_format(given))

    assert where in {finding.where for finding in found}


def test_what_is_plainly_meant_is_not_doubted() -> None:
    given = settings(profile={"active_tenant": None})

    assert find_warnings(given, compile_format(given)) == ()
