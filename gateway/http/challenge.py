"""The only builder of WWW-Authenticate."""


def session_challenge(realm: str, *, error: str | None = None) -> tuple[str, str]:
    """Return the WWW-Authenticate field of a 401.

    RFC 9110, section 15.5.2: a 401 MUST name a way to authenticate. `Session` is
    not a registered scheme, so a browser does not open its password
    dialog.

    Args:
        realm: the public host; characters that a quoted-string cannot hold are removed.
        error: why the session does not suffice (RFC 9470, section 3).
    """
    value = f"Session realm={quoted_string(realm)}"
    if error is not None:
        value += f", error={quoted_string(error)}"
    return ("WWW-Authenticate", value)


def bearer_challenge(
    realm: str, *, error: str | None = None, description: str | None = None
) -> tuple[str, str]:
    """Return the WWW-Authenticate field of a 401 that takes access tokens.

    Args:
        realm: as above.
        error: `invalid_token` or `invalid_request` (RFC 6750, section 3.1); None if the
            request carried no credential, as the RFC says.
        description: what is wrong with the token, in a sentence.
    """
    value = f"Bearer realm={quoted_string(realm)}"
    if error is not None:
        value += f", error={quoted_string(error)}"
    if error is not None and description is not None:
        value += f", error_description={quoted_string(description)}"
    return ("WWW-Authenticate", value)


def basic_challenge(realm: str) -> tuple[str, str]:
    """Return the WWW-Authenticate field of a 401 that takes a password (RFC 7617)."""
    return (
        "WWW-Authenticate",
        f'Basic realm={quoted_string(realm)}, charset="UTF-8"',
    )


def quoted_string(text: str) -> str:
    """Return the text as a quoted-string (RFC 9110, section 5.6.4)."""
    plain = "".join(c for c in text if c.isascii() and c.isprintable())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
