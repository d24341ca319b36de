"""What a user or an operator can do about each reason, and what each endpoint does."""

from collections.abc import Mapping
from typing import Final

from gateway.reasons import Reason
from gateway.spine.local_paths import Endpoint

ADVICE: Final[Mapping[Reason, str]] = {
    Reason.PUBLIC: "Nothing: the route is `public`.",
    Reason.SIGNED_IN: "Nothing: the session is valid and every requirement is met.",
    Reason.NOT_SIGNED_IN: "Nothing: `auth-redirect` allows unauthenticated requests.",
    Reason.PREFLIGHT: "Nothing: a CORS preflight on a route with `preflight: pass`.",
    Reason.GATEWAY: "Nothing: an endpoint below `/.gateway` responded.",
    Reason.NO_SESSION: "Sign in. If the user is signed in: check `sessions.cookie` (name, "
    "domain, `Secure` over plain HTTP) and whether the browser sends the cookie.",
    Reason.MALFORMED: "The cookie is not a session token, or is sent twice. Delete the "
    "cookies of the site; check for a second cookie of the same name on a parent domain. An "
    "access token was not copied whole.",
    Reason.BAD_SIGNATURE: "`sessions.secrets` differs from the secret of the app, or a "
    "secret was rotated. Compare both, in the order of the library.",
    Reason.TWO_CREDENTIALS: "Send either the session cookie or `Authorization`, not both, "
    "and `Authorization` once.",
    Reason.CREDENTIAL_NOT_TAKEN: "Send a credential that `credentials` of the route lists.",
    Reason.TOKEN_INVALID: "Send an access token of the provider for the audience in `accept`, "
    "not an ID token. The access log states what is wrong (`error.message`).",
    Reason.UNKNOWN_SESSION: "Sign in. The record was deleted, evicted, or is in another "
    "Redis database: check `redis.url`, `maxmemory-policy` and persistence.",
    Reason.SESSION_UNREADABLE: "The record does not match the session format. The log names "
    "the member; fix the program that writes it.",
    Reason.SESSION_EXPIRED: "Sign in. To change the duration: `sessions.lifespan`, "
    "`sessions.extend_within`.",
    Reason.SESSION_IDLE: "Sign in. To change the duration: `sessions.idle_timeout`.",
    Reason.SESSION_REVOKED: "Sign in. The audit log has who revoked the session.",
    Reason.NOT_ADMIN: "Give the identity a role of `roles.admin`.",
    Reason.ROLE_MISSING: "Give the identity one of the roles in `require.roles`.",
    Reason.TENANT_MISSING: "Choose a tenant: `POST /.gateway/tenant`, or set "
    "`sign_in.no_tenant` to a page that offers one.",
    Reason.TENANT_CONFLICT: "Host, path and header name different tenants; send one.",
    Reason.TENANT_ROLE_MISSING: "Give the identity one of the roles in "
    "`require.tenant_roles` in this tenant.",
    Reason.NOT_A_MEMBER: "Add the identity to the tenant, or choose another tenant.",
    Reason.STEP_UP: "Sign in again: the route requires a sign-in within "
    "`require.authenticated_within`.",
    Reason.AAL_TOO_LOW: "Sign in with a second factor: the route requires `require.aal`.",
    Reason.TOKEN_NOT_ALLOWED: "Sign in, in a browser. An access token has no assurance level "
    "and no recent sign-in, and changes no session.",
    Reason.ALREADY_SIGNED_IN: "Sign out first, or open the home page.",
    Reason.CROSS_SITE: "Send the form from a page of the same origin.",
    Reason.NETWORK_NOT_ALLOWED: "Add the network to `require.networks`; behind a proxy, "
    "check `server.trusted_proxies`.",
    Reason.SESSION_READ_ONLY: "Change the session in the app that manages it.",
    Reason.SIGN_IN_EXPIRED: "Start again. A sign-in takes at most 15 minutes, in the browser "
    "that began it, and its answer is used once. If each one ends so, the browser refuses "
    "cookies of `server.public_url`.",
    Reason.SIGN_IN_DECLINED: "The user canceled, or the provider requires a step that it "
    "could not show. Sign in again.",
    Reason.SIGN_IN_NOT_KEPT: "The session cookie did not come back. Check "
    "`sessions.cookie.domain`, and `Secure` over plain HTTP.",
    Reason.STEP_UP_FAILED: "The ID token had no fresh `auth_time`, or an `acr` that "
    "`sign_in.providers.NAME.aal` does not list. The log has which.",
    Reason.ACCOUNT_NOT_ALLOWED: "Use another account, or change "
    "`sign_in.providers.NAME.allow`.",
    Reason.EMAIL_UNVERIFIED: "Verify the address at the provider. If the provider never sends "
    "`email_verified`: `allow.verified_email: false`.",
    Reason.CLAIM_MISSING: "Make the provider send the claim, in the ID token or by UserInfo; "
    "check the scopes. The log has its name.",
    Reason.ISSUER_MISMATCH: "An answer of another provider: an attack, or a provider whose "
    "`iss` differs from its discovery.",
    Reason.ID_TOKEN_INVALID: "The log has the rule that the ID token breaks: compare issuer, "
    "client ID, clocks and algorithms.",
    Reason.USERINFO_INVALID: "The UserInfo endpoint describes another subject than the ID "
    "token; report it to the provider.",
    Reason.LOGOUT_TOKEN_INVALID: "The log has the rule that the logout token of a provider "
    "breaks. It needs `sub`, and `identity.id` must have no other claim.",
    Reason.PROVIDER_REFUSED: "The log has the provider's error: compare client ID, secret, "
    "redirect URI and scopes.",
    Reason.PROVIDER_BAD_ANSWER: "The log has what is wrong. Compare `issuer` with that of the "
    "discovery document.",
    Reason.PROVIDER_UNAVAILABLE: "Check the provider and the network. Signed-in users are not "
    "affected.",
    Reason.NO_ROUTE: 'Add a route, or check `forbidden: "404"` of the route: a 404 hides '
    "the reason from the client. `gateway explain` shows it.",
    Reason.METHOD_NOT_ALLOWED: "Use a method of the `Allow` header, or add it to "
    "`match.methods`. CONNECT and TRACE are never allowed.",
    Reason.MISDIRECTED: "Use a host of a route; on the admin listener, add it to "
    "`server.admin_hosts`.",
    Reason.BAD_REQUEST: "Fix the request; the access line has details.",
    Reason.BAD_TARGET: "Send the path without ambiguous characters, or list the spelling in "
    "`path_allows` of the route.",
    Reason.BAD_HOST: "Send exactly one valid `Host`.",
    Reason.BAD_HEADER: "Fix the header that the access line describes.",
    Reason.BAD_FRAMING: "Send one valid `Content-Length` or `Transfer-Encoding: chunked`.",
    Reason.BAD_UPGRADE: "Check the client's WebSocket library.",
    Reason.BAD_VERSION: "Use HTTP/1.1; put a proxy in front for HTTP/2.",
    Reason.BAD_EXPECTATION: "Only `Expect: 100-continue` is supported.",
    Reason.METHOD_UNKNOWN: "Reserved; not used by this version.",
    Reason.TARGET_TOO_LONG: "Shorten the URL.",
    Reason.HEADERS_TOO_LARGE: "Send fewer or smaller headers and cookies, or raise "
    "`server.limits.header_bytes`.",
    Reason.BODY_TOO_LARGE: "Raise `server.limits.body_bytes`.",
    Reason.TOO_MANY_ATTEMPTS: "Wait. If users share an address, check "
    "`server.trusted_proxies` and `server.guessing`.",
    Reason.REQUEST_TIMEOUT: "Retry. For slow clients: `server.timeouts.request_headers`, "
    "`upstreams.NAME.timeouts.request_body`, `body_rate`.",
    Reason.BAD_RETURN_TO: "Use a path, or list the origin in "
    "`sign_in.allowed_return_urls`.",
    Reason.TLS_REQUIRED: "Use `https://` on this port.",
    Reason.CLIENT_LIMIT: "Open fewer connections, or raise "
    "`server.limits.address_percent` or `identity_percent`.",
    Reason.PROXY_NOT_TRUSTED: "Add the address of the front proxy to "
    "`server.trusted_proxies`.",
    Reason.PROXY_HEADERS: "The front proxy must send the headers of its family, "
    "each once; the log names the header and the setting.",
    Reason.STORE_UNAVAILABLE: "Check Redis and the ACL user; the log has the error. "
    "Sessions are kept.",
    Reason.UPSTREAM_UNREACHABLE: "Check that the app runs and `upstreams.NAME.url` is right.",
    Reason.UPSTREAM_BAD_ANSWER: "Fix the response of the app, or its sign-in header; the "
    "access line describes the error.",
    Reason.UPSTREAM_TIMEOUT: "Check the app, or raise "
    "`upstreams.NAME.timeouts.response_headers`.",
    Reason.UPSTREAM_BUSY: "Raise `upstreams.NAME.max_connections` or "
    "`server.limits.connections`, or add targets.",
    Reason.PROVIDER_TOKEN_EXPIRED: "The provider did not renew the access token in time: the log has "
    "`membership not renewed`.",
    Reason.DRAINING: "Retry: the gateway is stopping and another instance responds.",
    Reason.UPSTREAM_CHANGED: "Connect again: a reload moved the upstream.",
    Reason.CLIENT_GONE: "Only in logs: the client closed the connection.",
    Reason.INTERNAL: "A bug: report the log line with its stack trace.",
}
"""Total: a test compares it with `Reason`."""

ENDPOINTS: Final[Mapping[Endpoint, str]] = {
    Endpoint.JWKS: "public keys of the [tokens](tokens.md), as a JWK Set (RFC 7517)",
    Endpoint.LOGOUT: "ends the session and clears the cookies; form field `return_to` "
    "([signing out](upstreams.md#signing-out))",
    Endpoint.SWITCH_TENANT: "changes the active tenant; form fields `tenant_id`, "
    "`return_to` ([switching the tenant](upstreams.md#switching-the-tenant))",
    Endpoint.ACCOUNT: "page: identity, tenants, devices and access tokens "
    "([account page](front-ends.md#the-account-page))",
    Endpoint.END_SESSION_BY_FORM: "ends another session, or revokes an access token, of the "
    "same identity; form field `session_id`",
    Endpoint.END_OTHER_SESSIONS_BY_FORM: "ends all other sessions of the identity",
    Endpoint.SESSION_SCRIPT: "script: notifies a page when its session ends "
    "([session.js](front-ends.md#sessionjs))",
    Endpoint.SESSION_STATUS: "200 with `session_id`, `tenant_id`, `expires_at`, or 401 with "
    "the reason; takes [access tokens](programs.md), too",
    Endpoint.LIST_SESSIONS: "the other active sessions, as Ory Kratos "
    "([Ory SDK](front-ends.md#the-ory-sdk))",
    Endpoint.END_OTHER_SESSIONS: "ends all other sessions, as Ory Kratos",
    Endpoint.END_SESSION: "ends another session, as Ory Kratos",
    Endpoint.WHOAMI: "the current session, as Ory Kratos; takes [access tokens](programs.md), too",
    Endpoint.SUBMIT_LOGOUT: "signs out, as Ory Kratos; `token`, `return_to`",
    Endpoint.CREATE_LOGOUT_FLOW: "logout token and URL, as Ory Kratos",
    Endpoint.SIGN_IN_PAGE: "redirects to the only provider, or lists the providers; "
    "`return_to`, `reason` ([sign-in](sign-in.md))",
    Endpoint.BEGIN_SIGN_IN: "redirects to this provider; `return_to`, `another=1` for "
    "another account",
    Endpoint.SIGN_IN_CALLBACK: "the answer of the provider: starts a session and redirects, "
    "or shows why not",
    Endpoint.LOGIN_PAGE: "Ory's address of a sign-in; redirects to `sign_in.url`",
    Endpoint.INITIATED_SIGN_IN: "with `initiate_login`: a provider or portal begins a sign-in; "
    "`iss`, `login_hint`, `target_link_uri` ([sign-in from a portal](sign-in.md#sign-in-from-a-portal))",
    Endpoint.FRONTCHANNEL_LOGOUT: "a provider ends the session of this browser; `iss`, `sid` "
    "([front-channel logout](sign-in.md#front-channel-logout))",
    Endpoint.TOKEN: "a token of a profile with `browser: true`, as JSON; `profile`",
    Endpoint.PREFLIGHT: "CORS preflight, for pages of `server.cors_origins`",
    Endpoint.BACKCHANNEL_LOGOUT: "a provider ends sessions; form field `logout_token` "
    "([back-channel logout](sign-in.md#back-channel-logout))",
    Endpoint.SIGNED_OUT: "page for users who signed out; begins no sign-in",
}
"""Total: a test compares it with `Endpoint`."""
