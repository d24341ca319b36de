"""The families of front proxies, and the endpoint of each."""

from enum import StrEnum
from typing import Final

PREFIX: Final = "/authz/"


class Mode(StrEnum):
    """The family of headers, which is also the name of its endpoint."""

    FORWARD_AUTH = "forward-auth"
    AUTH_REQUEST = "auth-request"
    EXT_AUTHZ = "ext-authz"


def mode_of(own_target: str) -> Mode | None:
    """Return the family of an endpoint; its query is ignored.

    Caddy appends the client's query to that of the endpoint.
    """
    path = own_target.partition("?")[0]
    if path.startswith(EXT_AUTHZ_PATH):
        return Mode.EXT_AUTHZ
    return _EXACT.get(path)


EXT_AUTHZ_PATH: Final = f"{PREFIX}{Mode.EXT_AUTHZ}/"
_EXACT: Final = {
    f"{PREFIX}{mode}": mode for mode in (Mode.FORWARD_AUTH, Mode.AUTH_REQUEST)
}
