"""The identity API of the admin listener: running sessions follow an identity."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.reasons import Reason
from gateway.server.admin.named import named
from gateway.server.admin.problem import problem
from gateway.server.context import Services
from gateway.server.sign_in_members import (
    read_id,
    read_member,
    read_moment,
    read_tenants,
    read_texts,
)
from gateway.sessions.identity_change import (
    ChangeCount,
    IdentityChange,
    change_sessions,
)
from gateway.sessions.members import Refused, parse_json

_MEMBERS: Final = (
    "roles",
    "traits",
    "tenants",
    "remove_tenant",
    "created_at",
    "updated_at",
)


class IdentityApi:
    """Identities by ID, as their active sessions have them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the paths of this API."""
        # A plain {id} would not match braces.
        router.add_patch("/admin/identities/{id:[^/]+}", self.change)

    async def change(self, request: web.Request) -> web.Response:
        """Change roles, traits or memberships in every active session of an identity.

        Returns 200 with the numbers of sessions; 400 with the error in the object; 409
        if an application manages the sessions.

        Raises:
            StoreUnavailable: it is not certain that all are changed. Repeat it.
        """
        store = self._services.gateway_managed
        identity_id = named(request)
        if store is None:
            return problem(
                409,
                Reason.SESSION_READ_ONLY,
                "an app manages the sessions (sessions.format): change the identity"
                " there, in the records that it writes",
            )
        try:
            change = read_change(parse_json(await request.read()))
        except Refused as refused:
            return problem(400, Reason.BAD_REQUEST, f"the body: {refused}")
        now, count = self._services.system.now(), ChangeCount()
        try:
            await change_sessions(store, identity_id, change, now=now, count=count)
        except ValueError as error:
            return problem(400, Reason.BAD_REQUEST, str(error))
        finally:
            if count.changed or count.unchanged:
                self._services.report.identity_changed(
                    identity_id, change.members, count.changed
                )
        return web.Response(
            body=orjson.dumps({"changed": count.changed, "unchanged": count.unchanged}),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def read_change(document: object) -> IdentityChange:
    """Return the change in a parsed body; a member that is null counts as absent.

    Raises:
        Refused: a member is invalid or unknown, or nothing is to be changed.
    """
    if not isinstance(document, dict):
        raise Refused("not an object")
    if not all(name in _MEMBERS for name in document):
        raise Refused(f"only {', '.join(_MEMBERS)} are known")
    given: Mapping[str, Any] = {k: v for k, v in document.items() if v is not None}
    if not given:
        raise Refused(f"nothing to change; set one of {', '.join(_MEMBERS)}")
    if "tenants" in given and "remove_tenant" in given:
        raise Refused("tenants and remove_tenant exclude each other")
    return IdentityChange(
        roles=read_texts(given, "roles", ()) if "roles" in given else None,
        traits=read_member(given, "traits") if "traits" in given else None,
        tenants=read_tenants(read_member(given, "tenants"))
        if "tenants" in given
        else None,
        remove_tenant=_removed(given),
        created_at=read_moment(given, "created_at"),
        updated_at=read_moment(given, "updated_at"),
    )


def _removed(given: Mapping[str, Any]) -> str | None:
    if "remove_tenant" not in given:
        return None
    found = read_id(given["remove_tenant"])
    if found is None:
        raise Refused("remove_tenant: neither text nor a whole number")
    return found
