"""The relying-party modules of the OpenID conformance suite, and advisories, by name.

Each row names the tests that show it, or the reason why it cannot apply. Modules have
the prefix `oidcc-client-test`; the bare name is the happy path.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

_PROVIDER = "oidc/test_provider.py::"
_LOGOUT = "oidc/test_logout_token.py::"
_RENEWAL = "oidc/test_membership_walk.py::"
_SIGN_OUT = "oidc/test_sign_out.py::"
_FRONT = "oidc/test_frontchannel.py::"
_SIGN_IN = "attacks/test_advisories_sign_in.py::"
_PATHS = "attacks/test_advisories_paths.py::"
_WRONG = _PROVIDER + "test_an_id_token_with_a_wrong_claim_is_no_sign_in"
_FORGED = _PROVIDER + "test_a_forged_id_token_is_no_sign_in"
_ROTATION = _PROVIDER + "test_keys_change_without_an_error_and_a_broken_one_is_skipped"
_DISCOVERY = (
    _PROVIDER + "test_a_discovery_document_that_cannot_be_trusted_begins_nothing"
)
_BAD_LOGOUT = _LOGOUT + "test_nothing_else_ends_a_session"
_TRICK = _SIGN_IN + "test_a_trick_of_a_provider_is_no_sign_in"
_CODE_ONLY = "not applicable: the code flow only; the hybrid flow is never used"
_NOT_OURS = "not applicable: the gateway never registers or finds a provider by itself"
_NO_REQUEST_OBJECT = "not applicable: parameters are sent as they are, or pushed"

MODULES: dict[str, str | tuple[str, ...]] = {
    "": _PROVIDER + "test_a_visitor_signs_in_and_returns_to_the_page_asked_for",
    "idtoken-sig-rs256": "oidc/test_id_token.py::test_a_valid_token_gives_its_claims",
    "client-secret-basic": _PROVIDER
    + "test_the_request_has_state_nonce_and_s256_and_the_secret_goes_by_basic",
    "userinfo-bearer-header": _PROVIDER
    + "test_claims_that_the_token_lacks_come_from_userinfo",
    "userinfo-bearer-body": "not applicable: the access token is sent in the header",
    "scope-userinfo-claims": _PROVIDER
    + "test_claims_that_the_token_lacks_come_from_userinfo",
    "invalid-iss": _WRONG,
    "missing-sub": _WRONG,
    "invalid-aud": _WRONG,
    "missing-aud": _WRONG,
    "missing-iat": _WRONG,
    "nonce-invalid": _WRONG,
    "kid-absent-single-jwks": _PROVIDER
    + "test_a_key_without_kid_verifies_if_it_is_the_only_one",
    "kid-absent-multiple-jwks": "oidc/test_keys.py::test_two_keys_that_fit_are_none",
    "idtoken-sig-none": _FORGED,
    "invalid-sig-rs256": _FORGED,
    "invalid-sig-es256": _FORGED,
    "invalid-sig-hs256": _FORGED,
    "invalid-athash": _WRONG,
    "invalid-chash": _CODE_ONLY,
    "missing-chash": _CODE_ONLY,
    "missing-athash": _CODE_ONLY,
    "nonce-unless-code-flow": _CODE_ONLY,
    "userinfo-invalid-sub": _PROVIDER
    + "test_userinfo_of_another_subject_is_no_sign_in",
    "discovery-openid-config": _PROVIDER
    + "test_a_visitor_signs_in_and_returns_to_the_page_asked_for",
    "discovery-jwks-uri-keys": _ROTATION,
    "discovery-issuer-mismatch": _DISCOVERY,
    "discovery-webfinger-acct": _NOT_OURS,
    "discovery-webfinger-url": _NOT_OURS,
    "dynamic-registration": _NOT_OURS,
    "signing-key-rotation": _ROTATION,
    "signing-key-rotation-just-before-signing": _ROTATION,
    "form-post-error": "not applicable: response_mode form_post is not requested",
    "refresh-token": _RENEWAL
    + "test_roles_tenants_and_traits_change_at_the_next_request",
    "refresh-token-invalid-issuer": _RENEWAL
    + "test_tokens_that_are_not_those_of_the_user_change_nothing",
    "refresh-token-invalid-sub": _RENEWAL
    + "test_tokens_that_are_not_those_of_the_user_change_nothing",
    "aggregated-claims": _PROVIDER + "test_what_a_provider_may_vary_is_accepted",
    "distributed-claims": _PROVIDER + "test_what_a_provider_may_vary_is_accepted",
    "userinfo-signed": _PROVIDER + "test_userinfo_of_another_subject_is_no_sign_in",
    "request-uri-signed-none": _NO_REQUEST_OBJECT,
    "request-uri-signed-rs256": _NO_REQUEST_OBJECT,
    "mtls-endpoint-aliases": "not applicable: no client certificates are sent",
    "3rd-party-init-login": "not applicable: the start address takes no foreign target;"
    " login_hint is not used",
    "rp-init-logout": _SIGN_OUT
    + "test_a_user_who_signs_out_is_signed_out_at_the_provider_too",
    "rp-init-logout-other-state": _SIGN_OUT
    + "test_the_address_to_return_to_comes_back_as_state_and_is_validated",
    "rp-init-logout-no-state": _SIGN_OUT
    + "test_the_address_to_return_to_comes_back_as_state_and_is_validated",
    "rp-backchannel-rpinitlogout": (
        _LOGOUT + "test_a_provider_ends_a_session_by_its_id",
        "oidc/test_real_provider.py::"
        "test_a_sign_out_at_the_provider_ends_the_session_here",
    ),
    "rp-backchannel-rpinitlogout-alg-none": _BAD_LOGOUT,
    "rp-backchannel-rpinitlogout-no-event": _BAD_LOGOUT,
    "rp-backchannel-rpinitlogout-with-nonce": _BAD_LOGOUT,
    "rp-backchannel-rpinitlogout-wrong-alg": _BAD_LOGOUT,
    "rp-backchannel-rpinitlogout-wrong-aud": _BAD_LOGOUT,
    "rp-backchannel-rpinitlogout-wrong-event": _BAD_LOGOUT,
    "rp-backchannel-rpinitlogout-wrong-iss": _BAD_LOGOUT,
    "rp-frontchannel-opinitlogout": _FRONT
    + "test_a_frame_of_the_provider_ends_the_session_that_it_names",
    "rp-frontchannel-rpinitlogout": _FRONT
    + "test_a_frame_of_the_provider_ends_the_session_that_it_names",
    "session-management": "not applicable: OpenID Connect Session Management polls"
    " frames of the provider; its logout tokens are used instead",
}

ADVISORIES: dict[str, str | tuple[str, ...]] = {
    "CVE-2026-40575, GHSA-7x63-xv5r-3p2x": _PATHS
    + "test_the_path_that_was_matched_is_the_path_that_arrives",
    "CVE-2026-41059, GHSA-pxq7-h93f-9jrg": _PATHS
    + "test_a_target_that_could_be_read_in_two_ways_is_refused",
    "GHSA-7rh7-c77v-6434": _PATHS
    + "test_the_path_that_was_matched_is_the_path_that_arrives",
    "CVE-2026-34457, GHSA-5hvv-m4w4-gf6v": "attacks/test_advisories_tokens.py::"
    "test_a1_no_user_agent_authenticates",
    "CVE-2026-40574, GHSA-c5c4-8r6x-56w3": _PROVIDER + "test_who_may_sign_in",
    "CVE-2026-34454, GHSA-f24x-5g9q-753f": _SIGN_IN
    + "test_o16_a_failed_attempt_leaves_the_session_as_it_is",
    "CVE-2020-4037, GHSA-5m6c-jp6f-2vcv": _PROVIDER + "test_no_sign_in_leads_elsewhere",
    "CVE-2026-27962, GHSA-wvwj-cvrp-7pv5": (_TRICK, _FORGED),
    "GHSA-fg6f-75jq-6523": _SIGN_IN + "test_o2_state_is_bound_to_the_browser",
    "Authlib 1.6.5: size of a token": _TRICK,
    "CVE-2024-37568, CVE-2022-29217, CVE-2026-48526": _TRICK,
    "CVE-2025-59420, GHSA-752w-5fwx-jx9f": _TRICK,
    "CVE-2026-48522, GHSA-993g-76c3-p5m4": (_TRICK, _DISCOVERY),
    "GHSA-fhv5-28vv-h8m8": (
        _TRICK,
        "oidc/test_rotation.py::test_the_fetches_of_a_purpose_are_bounded",
    ),
    "GHSA-7rqj-j65f-68wh": _SIGN_IN
    + "test_an_address_that_only_looks_right_is_not_allowed",
    "GHSA-x445-f3h2-j279": _SIGN_IN + "test_o9_an_attempt_is_bound_to_its_provider",
    "GHSA-xmf8-cvqr-rfgj": "attacks/test_advisories_tokens.py::"
    "test_a_token_that_a_client_brings_has_no_effect",
    "CVE-2021-41230": _RENEWAL
    + "test_roles_tenants_and_traits_change_at_the_next_request",
    "GHSA-35vc-w93w-75c2": _SIGN_IN
    + "test_o10_a_sign_in_address_cannot_carry_a_foreign_return",
    "CVE-2024-39315": _SIGN_IN + "test_o11_no_page_shows_a_token_of_the_provider",
    "GHSA-75vm-6w67-gwvp, GHSA-9r87-mvcw-x35f": (
        _PROVIDER + "test_who_may_sign_in",
        "oidc/test_userinfo.py::test_an_address_and_its_verification_have_one_source",
    ),
    "CVE-2026-40946, GHSA-hcxc-wf8j-23hv": (_TRICK, _WRONG),
    "GHSA-29rf-f4vv-pvq6, CVE-2026-41574": _SIGN_IN
    + "test_o14_the_same_address_at_two_providers_is_two_people",
    "CVE-2024-24814": _SIGN_IN + "test_o15_attempts_of_a_browser_are_bounded",
    "mod_auth_openidc 2026: front-channel logout of anybody": (
        _FRONT + "test_nothing_else_ends_a_session",
        _SIGN_IN + "test_s16_only_a_signed_logout_token_ends_a_session",
    ),
    "mod_auth_openidc 2026: keys fetched for each unknown kid": (
        _SIGN_IN + "test_j16_unknown_key_ids_cost_one_fetch_a_minute",
        _PROVIDER + "test_an_anonymous_request_does_not_use_up_the_fetch_of_a_sign_in",
    ),
    "mod_auth_openidc 2026: a parameter twice": _PROVIDER
    + "test_a_malformed_answer_is_a_page",
    "CVE-2024-23647: PKCE dropped": _TRICK,
    "CVE-2026-32245: a code of another client": _TRICK,
}

ROWS = [
    pytest.param(name, shown, id=name or "happy path")
    for table in (MODULES, ADVISORIES)
    for name, row in table.items()
    for shown in (row if isinstance(row, tuple) else (row,))
]


@pytest.mark.parametrize(("name", "shown"), ROWS)
def test_a_row_names_a_test_that_exists_or_a_reason(name: str, shown: str) -> None:
    if shown.startswith("not applicable: "):
        assert name not in ADVISORIES
        return
    path, _, test = shown.partition("::")
    found = re.search(
        rf"^(?:async )?def {test}\(", (TESTS / path).read_text(), re.MULTILINE
    )

    assert found is not None, f"{shown} does not exist"
