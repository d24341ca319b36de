"""What is kept to renew a session is of that session, that provider and that user."""

from typing import Any

import pytest

from gateway.oidc.renewal import (
    NotTheUser,
    Renewal,
    bound_to,
    check_subject,
    open_renewal,
    seal_renewal,
)
from gateway.oidc.vault import NONCE_BYTES, NotOpened, Vault
from tests.oidc.settings import provider_settings_of

VAULT = Vault({"k1": b"1" * 32})
NONCE = bytes(NONCE_BYTES)
RENEWAL = Renewal(refresh_token="the-refresh-token", subject="s-1", nonce="n-1")
SETTINGS = provider_settings_of()


def test_it_is_read_as_it_was_kept_and_shows_nothing() -> None:
    sealed = seal_renewal(RENEWAL, VAULT, SETTINGS, "session", NONCE)

    assert open_renewal(sealed, VAULT, SETTINGS, "session") == RENEWAL
    assert b"refresh" not in sealed
    assert "the-refresh-token" not in repr(RENEWAL)


@pytest.mark.parametrize(
    ("session", "changes"),
    [
        pytest.param("another", {}, id="of-another-session"),
        pytest.param("session", {"name": "other"}, id="of-another-provider"),
        pytest.param("session", {"issuer": "https://evil.example"}, id="of-an-issuer"),
    ],
)
def test_it_does_not_open_elsewhere(session: str, changes: dict[str, Any]) -> None:
    sealed = seal_renewal(RENEWAL, VAULT, SETTINGS, "session", NONCE)

    with pytest.raises(NotOpened):
        open_renewal(sealed, VAULT, provider_settings_of(**changes), session)


def test_a_sealed_text_of_another_use_or_form_does_not_open() -> None:
    place = bound_to("renewal", SETTINGS, "session")
    other = VAULT.seal("{}", bound_to("access", SETTINGS, "session"), NONCE)

    for sealed in (other, *(VAULT.seal(t, place, NONCE) for t in ("{}", "[]", "x"))):
        with pytest.raises(NotOpened):
            open_renewal(sealed.encode(), VAULT, SETTINGS, "session")


@pytest.mark.parametrize("subject", ["s-2", "", None, 1, ["s-1"], "S-1"])
def test_another_subject_is_refused(subject: object) -> None:
    with pytest.raises(NotTheUser):
        check_subject(subject, RENEWAL)
