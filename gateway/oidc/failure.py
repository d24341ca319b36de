"""The error that ends a sign-in."""

from gateway.errors import GatewayError
from gateway.reasons import Reason


class SignInFailed(GatewayError):  # noqa: N818 - the field's word, not "...Error"
    """A sign-in ends without a session.

    `reason` is public. The message is for the log: it may quote the provider, never a
    code, a token or a secret. `account` names who the provider signed in, for the page.
    """

    def __init__(self, reason: Reason, detail: str, *, account: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}"[:300])
        self.reason = reason
        self.detail = detail[:300]
        self.account = account


class NotYetValid(SignInFailed):
    """A signed token is refused at this time only."""


class UnknownKey(SignInFailed):
    """No published key fits the token; newer keys may."""
