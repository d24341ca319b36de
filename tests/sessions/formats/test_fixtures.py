"""Genuine sessions are read right; what their library refuses is refused."""

import json
from typing import Any

import pytest

from gateway.sessions.cookie import Malformed
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.engine import Stored
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.record import AnonymousSession, Session
from tests.sessions.formats.scenarios import SCENARIOS, Redis, Scenario, ask, signed_in

# Where the library accepts and we do not; docs/session-formats.md says why.
STRICTER = {
    "duplicate_first_good": "parsers disagree about which of two cookies counts",
    "duplicate_first_bad": "parsers disagree about which of two cookies counts",
    "quoted": "parsers disagree about quotes",
    "trailing_bits": "one signature has one spelling",
}


def test_the_vectors_are_there() -> None:
    assert len(SCENARIOS) == 24


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.id)
def test_a_genuine_session_is_accepted_and_read_right(scenario: Scenario) -> None:
    expected, now = scenario.expected, scenario.now

    session = ask(scenario.profile, [scenario.cookie], scenario.redis, now)

    assert isinstance(session, Session)
    assert signed_in(session, now)
    assert session.identity.id == str(expected["user_id"])
    assert session.identity.traits.get("email") == _said(expected, "email")
    assert list(session.identity.roles) == _roles(expected)
    assert session.active_tenant_id == _tenant(expected)
    assert session.tenants == {}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.id)
def test_the_key_asked_for_is_the_one_the_library_wrote(scenario: Scenario) -> None:
    credential = read_credential(scenario.profile, [scenario.cookie])

    assert isinstance(credential, Credential)
    assert credential.record_key == scenario.expected["session_key"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.id)
def test_a_session_ends_when_its_key_or_its_record_says(scenario: Scenario) -> None:
    session = ask(scenario.profile, [scenario.cookie], scenario.redis, scenario.now)

    assert isinstance(session, Session)
    row = scenario.redis.ask(scenario.expected["session_key"])
    if row.pttl > 0:
        assert session.expires_at <= scenario.now + row.pttl / 1000
    if scenario.library in ("better_auth", "authjs_upstash", "lucia"):
        later = scenario.now + 60 * 86_400  # and the TTL is said to be alive
        again = ask(scenario.profile, [scenario.cookie], scenario.redis, later)
        assert not signed_in(again, later)


@pytest.mark.parametrize(
    ("scenario", "variant"),
    [
        pytest.param(scenario, variant, id=f"{scenario.id}:{variant}")
        for scenario in SCENARIOS
        for variant in scenario.tampered
    ],
)
def test_a_tampered_cookie_fares_as_with_the_library(
    scenario: Scenario, variant: str
) -> None:
    cookie, library_accepts = scenario.tampered[variant]
    now = scenario.now

    outcome = ask(scenario.profile, [cookie], scenario.redis, now)

    assert signed_in(outcome, now) == (library_accepts and variant not in STRICTER)


@pytest.mark.parametrize(
    "scenario",
    [each for each in SCENARIOS if each.library in ("better_auth", "express_session")],
    ids=lambda each: each.id,
)
def test_a_wrong_signature_is_found_without_a_query(scenario: Scenario) -> None:
    cookie, _ = scenario.tampered["wrong_secret"]

    refused = read_credential(scenario.profile, [cookie])

    assert isinstance(refused, Malformed)
    assert refused.reason == "bad_signature"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.id)
def test_nothing_printed_holds_the_session_id(scenario: Scenario) -> None:
    credential = read_credential(scenario.profile, [scenario.cookie])
    assert isinstance(credential, Credential)
    session = ask(scenario.profile, [scenario.cookie], scenario.redis, scenario.now)

    printed = f"{credential!r} {credential} {session!r} {scenario.profile!r}"

    assert credential.value not in printed
    for secret in scenario.settings.secrets:
        assert secret not in printed
        assert secret not in repr(scenario.settings)
    stored = scenario.redis.ask(credential.record_key)
    assert credential.value not in repr(stored)


def test_the_library_s_anonymous_sessions_are_guests() -> None:
    seen = set()
    for scenario in SCENARIOS:
        profile = scenario.profile
        if "anonymous_session" not in scenario.tampered:
            continue
        cookie, _ = scenario.tampered["anonymous_session"]
        outcome = ask(profile, [cookie], scenario.redis, scenario.now)
        if outcome is not None:  # Django's was flushed to an empty record
            assert isinstance(outcome, AnonymousSession), scenario.id
            seen.add(scenario.library)

    assert {"aiohttp_session", "starsessions"} <= seen


def test_a_lucia_2_session_is_read_with_four_words_of_profile() -> None:
    """Written as its adapter writes; it is not one of the vectors."""
    session_id, now = "x7" * 20, 1_795_219_000.0
    profile = compile_format(
        FormatSettings(
            format="lucia",
            cookie_name="auth_session",
            profile={
                "id": "[a-z0-9]{40}",
                "key": "{prefix}{id}",
                "expires": {"path": "$.idle_expires", "unit": "ms"},
            },
        )
    )
    record = {
        "id": session_id,
        "user_id": "u-42",
        "active_expires": 1_795_200_000_000,
        "idle_expires": 1_795_220_000_000,
    }
    redis = Redis(
        {
            f"session:{session_id}": Stored(
                value=json.dumps(record).encode(), pttl=1_000_000
            )
        }
    )

    session = ask(profile, [b"auth_session=" + session_id.encode()], redis, now)

    assert isinstance(session, Session)
    assert session.identity.id == "u-42"
    assert session.expires_at == 1_795_220_000.0


def _said(expected: dict[str, Any], name: str) -> Any:
    value = expected.get(name, expected.get("decoded_by_library", {}).get(name))
    if value is None and "user" in expected.get("value", {}):
        value = expected["value"]["user"].get(name)
    return value


def _roles(expected: dict[str, Any]) -> list[str]:
    found: str | list[str] = _said(expected, "roles") or _said(expected, "role") or []
    return found.split(",") if isinstance(found, str) else found


def _tenant(expected: dict[str, Any]) -> str | None:
    for name in ("active_organization_id", "org", "org_id", "orgId"):
        if (found := _said(expected, name)) is not None:
            return str(found)
    return None
