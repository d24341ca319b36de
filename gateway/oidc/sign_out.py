"""Sign-out at the provider (OpenID Connect RP-Initiated Logout 1.0)."""

from typing import Final
from urllib.parse import urlencode

from gateway.http import base64url
from gateway.oidc.settings import ProviderSettings

_LONGEST: Final = 2048


def end_session_url(
    settings: ProviderSettings, end_session: str, return_to: str
) -> str:
    """Return the address at the provider that ends its session.

    `return_to` comes back as the `state`: a provider returns to registered addresses
    only, which is one page of the gateway.
    """
    parameters = {
        "client_id": settings.client_id,
        "post_logout_redirect_uri": settings.signed_out_uri,
    }
    if return_to:
        state = base64url.encode(return_to.encode())
        parameters["state"] = state
    joint = "&" if "?" in end_session else "?"
    return f"{end_session}{joint}{urlencode(parameters)}"


def read_return_to(state: str) -> str:
    """Return the address in a `state`, not validated; "" if there is none."""
    if len(state) > _LONGEST or not state.isascii():
        return ""
    try:
        return base64url.decode(state).decode()
    except ValueError:
        return ""
