"""Applies the sign-in header protocol: an upstream signs a user in, or out."""

from collections.abc import Sequence

from gateway.errors import InvalidUpstreamResponse
from gateway.observe.audit_events import SignInHeaderRefused
from gateway.server.context import RequestContext
from gateway.server.runtime import Application
from gateway.server.session_changes import sign_in, sign_out
from gateway.server.sign_in_headers import (
    InvalidSignIn,
    SessionInstruction,
    SignIn,
    SignOut,
)


async def apply_sign_in_headers(
    instruction: SessionInstruction,
    application: Application,
    cookies: Sequence[str],
    context: RequestContext,
) -> Sequence[str]:
    """Apply a sign-in or sign-out of a response; return the cookies to set.

    Raises:
        InvalidUpstreamResponse: the header is invalid.
        StoreUnavailable: the change was not stored, so the response, which assumes
            it, must not be sent.
    """
    store = context.services.gateway_managed
    if not application.may_sign_in or store is None:
        context.audit(SignInHeaderRefused(upstream=application.view.name))
        return cookies
    try:
        match instruction:
            case InvalidSignIn(why=why):
                raise InvalidUpstreamResponse(why)
            case SignIn():
                return await sign_in(instruction, store, context)
            case SignOut(which=which):
                return await sign_out(which, context)
    except ValueError as error:
        raise InvalidUpstreamResponse(str(error)) from error
