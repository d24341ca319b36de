"""The gateway's own endpoints on the public listener; spine/local_paths.py lists them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from gateway.server.context import RequestContext
from gateway.server.endpoints.account import account, end, end_others
from gateway.server.endpoints.backchannel_logout import backchannel_logout
from gateway.server.endpoints.cross_origin import preflight
from gateway.server.endpoints.frontchannel_logout import frontchannel_logout
from gateway.server.endpoints.initiated_sign_in import initiated_sign_in
from gateway.server.endpoints.jwks import jwks
from gateway.server.endpoints.kratos import (
    end_other_sessions,
    end_session,
    list_sessions,
    whoami,
)
from gateway.server.endpoints.kratos_login import login_page
from gateway.server.endpoints.kratos_logout import create_logout_flow, submit_logout
from gateway.server.endpoints.local_response import LocalResponse
from gateway.server.endpoints.logout import logout
from gateway.server.endpoints.session_js import session, session_js
from gateway.server.endpoints.sign_in import begin_sign_in, sign_in_page
from gateway.server.endpoints.sign_in_callback import sign_in_callback
from gateway.server.endpoints.signed_out import signed_out
from gateway.server.endpoints.tenant import tenant
from gateway.server.endpoints.token import token
from gateway.spine.local_paths import Endpoint

Handler: TypeAlias = Callable[[RequestContext], Awaitable[LocalResponse]]

HANDLERS: Final[Mapping[Endpoint, Handler]] = {
    Endpoint.JWKS: jwks,
    Endpoint.LOGOUT: logout,
    Endpoint.SWITCH_TENANT: tenant,
    Endpoint.ACCOUNT: account,
    Endpoint.END_SESSION_BY_FORM: end,
    Endpoint.END_OTHER_SESSIONS_BY_FORM: end_others,
    Endpoint.SESSION_SCRIPT: session_js,
    Endpoint.SESSION_STATUS: session,
    Endpoint.LIST_SESSIONS: list_sessions,
    Endpoint.END_OTHER_SESSIONS: end_other_sessions,
    Endpoint.END_SESSION: end_session,
    Endpoint.WHOAMI: whoami,
    Endpoint.SUBMIT_LOGOUT: submit_logout,
    Endpoint.CREATE_LOGOUT_FLOW: create_logout_flow,
    Endpoint.LOGIN_PAGE: login_page,
    Endpoint.SIGN_IN_PAGE: sign_in_page,
    Endpoint.BEGIN_SIGN_IN: begin_sign_in,
    Endpoint.SIGN_IN_CALLBACK: sign_in_callback,
    Endpoint.INITIATED_SIGN_IN: initiated_sign_in,
    Endpoint.SIGNED_OUT: signed_out,
    Endpoint.BACKCHANNEL_LOGOUT: backchannel_logout,
    Endpoint.FRONTCHANNEL_LOGOUT: frontchannel_logout,
    Endpoint.TOKEN: token,
    Endpoint.PREFLIGHT: preflight,
}


async def answer_locally(context: RequestContext, endpoint: Endpoint) -> LocalResponse:
    """Return the response of one of the gateway's own endpoints.

    Raises:
        StoreUnavailable: the endpoint needs the store, which cannot be queried.
    """
    return await HANDLERS[endpoint](context)
