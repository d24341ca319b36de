"""Every no has a word and a sentence; the words stay."""

import re

import pytest

from gateway.reasons import ROWS, Reason

# Alerts, dashboards and front ends stand on these. One may be added; none may be
# renamed or taken away without saying so in the changelog.
PUBLISHED = [
    "public",
    "signed_in",
    "not_signed_in",
    "preflight",
    "gateway",
    "no_session",
    "malformed",
    "bad_signature",
    "two_credentials",
    "credential_not_taken",
    "unknown_session",
    "session_unreadable",
    "session_expired",
    "session_idle",
    "session_revoked",
    "not_admin",
    "role_missing",
    "tenant_missing",
    "tenant_conflict",
    "tenant_role_missing",
    "not_a_member",
    "step_up",
    "aal_too_low",
    "token_not_allowed",
    "already_signed_in",
    "cross_site",
    "network_not_allowed",
    "session_read_only",
    "sign_in_expired",
    "sign_in_declined",
    "sign_in_not_kept",
    "step_up_failed",
    "account_not_allowed",
    "email_unverified",
    "claim_missing",
    "issuer_mismatch",
    "id_token_invalid",
    "userinfo_invalid",
    "logout_token_invalid",
    "provider_refused",
    "provider_bad_answer",
    "provider_unavailable",
    "provider_token_expired",
    "no_route",
    "method_not_allowed",
    "misdirected",
    "bad_request",
    "bad_target",
    "bad_host",
    "bad_header",
    "bad_framing",
    "bad_upgrade",
    "bad_version",
    "bad_expectation",
    "method_unknown",
    "target_too_long",
    "headers_too_large",
    "body_too_large",
    "too_many_attempts",
    "request_timeout",
    "bad_return_to",
    "tls_required",
    "client_limit",
    "proxy_not_trusted",
    "proxy_headers",
    "store_unavailable",
    "upstream_unreachable",
    "upstream_bad_answer",
    "upstream_timeout",
    "upstream_busy",
    "draining",
    "client_gone",
    "internal",
]


def test_the_words_that_were_published_are_all_there() -> None:
    assert set(PUBLISHED) <= {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", [pytest.param(r, id=r) for r in Reason])
def test_a_word_is_a_word_and_has_a_sentence(reason: Reason) -> None:
    sentence = ROWS[reason].sentence

    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)
    assert reason.value == reason.name.lower()
    assert sentence.endswith(".")
    assert sentence[0].isupper()


def test_every_reason_has_one_row() -> None:
    assert set(Reason) == set(ROWS)


def test_unknown_and_revoked_look_alike_to_a_client() -> None:
    """The caller hears less than the log: no sentence names a cause inside."""
    for sentence in (row.sentence for row in ROWS.values()):
        assert not re.search(
            r"redis|sha|token|upstream|regex|trace", sentence, re.IGNORECASE
        )
