"""Sign-out at the provider (OpenID Connect RP-Initiated Logout 1.0)."""

from urllib.parse import urlencode

from gateway.oidc.settings import ProviderSettings


def end_session_url(
    settings: ProviderSettings,
    end_session: str,
    *,
    state: str = "",
    id_token: str | None = None,
    logout_hint: str | None = None,
) -> str:
    """Return the address at the provider that ends its session.

    `state` comes back: a provider returns to registered addresses only, which is one
    page of the gateway. With an ID token some providers ask for no confirmation; the
    other hint is for those that do not know the session by their own cookie.
    """
    parameters = {
        "client_id": settings.client_id,
        "post_logout_redirect_uri": settings.signed_out_uri,
    }
    if id_token is not None:
        parameters["id_token_hint"] = id_token
    elif logout_hint is not None:
        parameters["logout_hint"] = logout_hint
    if state:
        parameters["state"] = state
    joint = "&" if "?" in end_session else "?"
    return f"{end_session}{joint}{urlencode(parameters)}"
