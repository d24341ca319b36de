"""Headers that a client may not send to any upstream, by family, with their source.

Each family is a convention of a product or protocol: a proxy sets these headers, and
an application behind it trusts them. All names are normalized: lower case, with "-"
for every character that is not a letter or a digit. A prefix ends where the part that
the family leaves open begins.

`FORWARDING` is removed while the head is read, `IDENTITY` when the outbound request is
planned: until then a route may read such a header, for example to select a tenant.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Header names and name prefixes that belong together."""

    source: str
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


FORWARDING: Final = (
    Family(
        source="Forwarded (RFC 7239), X-Forwarded-* and their misspellings",
        names=("forwarded", "forwarded-for", "x-forwarded", "x-forward", "z-forwarded"),
        prefixes=("x-forwarded-", "x-forward-", "z-forwarded-"),
    ),
    Family(
        source="client address: nginx, HAProxy, load balancers, web servers",
        names=(
            "client-ip",
            "clientip",
            "coming-from",
            "real-ip",
            "rlnclientipaddr",
            "x-client-ip",
            "x-client-port",
            "x-clientip",
            "x-coming-from",
            "x-custom-ip-authorization",
            "x-peer-ip",
            "x-source-ip",
            "x-true-client-ip",
            "x-true-ip",
        ),
        prefixes=("true-client-", "x-cluster-client-", "x-originating-", "x-real-"),
    ),
    Family(
        source="client address and scheme: content delivery networks and hosts",
        names=(
            "akamai-client-ip",
            "ali-cdn-real-ip",
            "cdn-src-ip",
            "cf-pseudo-ipv4",
            "cf-visitor",
            "cloudfront-forwarded-proto",
            "cloudfront-viewer-address",
            "do-connecting-ip",
            "x-nf-client-connection-ip",
        ),
        prefixes=(
            "cf-connecting-",
            "fastly-",
            "fly-",
            "incap-",
            "x-akamai-",
            "x-appengine-",
            "x-azure-",
            "x-envoy-",
            "x-sigsci-",
            "x-sucuri-",
            "x-vercel-forwarded-",
            "x-vercel-ip-",
            "x-vercel-proxied-",
        ),
    ),
    Family(
        source="WebLogic plug-in, Proxy-* (CGI reads Proxy as HTTP_PROXY)",
        names=("proxy", "x-proxy"),
        prefixes=("proxy-", "wl-proxy-", "x-proxy-", "x-proxyuser-"),
    ),
    Family(
        source="host, path or prefix used instead of those of the request",
        names=(
            "base-url",
            "host-override",
            "http-host",
            "http-url",
            "request-uri",
            "script-name",
            "x-backend-host",
            "x-base-url",
            "x-host",
            "x-http-host",
            "x-override-url",
            "x-replaced-path",
            "x-path-info",
            "x-request-uri",
            "x-server-name",
            "x-url",
            "x-url-path",
        ),
        prefixes=(
            "x-host-",
            "x-http-host-",
            "x-ingress-",
            "x-original-",
            "x-rewrite-",
            "x-script-",
        ),
    ),
    Family(
        source="scheme used instead of that of the request",
        names=(
            "front-end-https",
            "x-arr-ssl",
            "x-scheme",
            "x-url-scheme",
        ),
    ),
    Family(
        source="method used instead of that of the request (web frameworks)",
        names=("x-method", "x-method-override"),
        prefixes=("x-http-method",),
    ),
    Family(
        source="client certificate: RFC 9440, nginx, Apache, HAProxy, IIS, AWS, Cloudflare",
        names=("client-cert", "client-cert-chain", "ssl", "x-clientcert", "x-ssl"),
        prefixes=(
            "cf-client-",
            "ssl-",
            "tls-client-",
            "x-amzn-mtls-",
            "x-arr-client",
            "x-client-cert",
            "x-client-dn",
            "x-client-issuer",
            "x-client-s-dn",
            "x-client-subject",
            "x-client-verif",
            "x-mtls-",
            "x-peer-cert",
            "x-ssl-",
            "x-tls-",
        ),
    ),
    Family(
        source="switches of servers and frameworks: Rack::Sendfile, Next.js, Vercel",
        names=("x-accel-mapping", "x-matched-path", "x-sendfile-type"),
        prefixes=("x-invoke-", "x-middleware-", "x-now-"),
    ),
    Family(
        source="the gateway's own protocol, and its trace",
        names=("traceparent", "tracestate", "x-gateway", "x-request-id"),
        prefixes=("x-gateway-",),
    ),
)

IDENTITY: Final = (
    Family(
        source="X-Auth-*: the gateway's own names, Louketo (Keycloak Gatekeeper)",
        names=(
            "auth-type",
            "auth-user",
            "x-auth-assertion",
            "x-auth-audience",
            "x-auth-email",
            "x-auth-name",
            "x-auth-permissions",
            "x-auth-scopes",
            "x-auth-status",
            "x-auth-sub",
            "x-auth-subject",
        ),
        prefixes=(
            "auth-user-",
            "x-auth-account",
            "x-auth-claim",
            "x-auth-group",
            "x-auth-identity",
            "x-auth-org",
            "x-auth-request-",
            "x-auth-role",
            "x-auth-session-",
            "x-auth-tenant",
            "x-auth-user",
        ),
    ),
    Family(
        source="oauth2-proxy",
        names=(
            "x-forwarded-access-token",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-preferred-username",
            "x-forwarded-user",
        ),
    ),
    Family(
        source="Authelia, Caddy and CGI: Remote-User and others",
        prefixes=("remote-",),
    ),
    Family(
        source="Kubernetes request-header authentication and impersonation",
        prefixes=("x-remote-", "impersonate-", "x-impersonate-"),
    ),
    Family(
        source="impersonation in Elasticsearch and OpenSearch",
        names=("es-security-runas-user", "opendistro-security-impersonate-as"),
    ),
    Family(source="Grafana auth proxy", prefixes=("x-webauth-",)),
    Family(
        source="X-User, X-User-Id and others: Ory Oathkeeper and hand-written proxies",
        names=(
            "logon-user",
            "x-admin",
            "x-current-user",
            "x-email",
            "x-group",
            "x-groups",
            "x-identity",
            "x-is-admin",
            "x-logon-user",
            "x-logged-in-user",
            "x-preferred-username",
            "x-principal",
            "x-role",
            "x-roles",
            "x-sub",
            "x-subject",
            "x-user",
            "x-useremail",
            "x-userid",
            "x-userinfo",
            "x-username",
            "x-userrole",
            "x-userroles",
        ),
        prefixes=("x-current-user-", "x-identity-", "x-principal-", "x-user-"),
    ),
    Family(
        source="Kong and APISIX consumers, Kong OpenID Connect plug-ins",
        names=("x-anonymous-consumer", "x-authenticated"),
        prefixes=("x-authenticated-", "x-consumer-", "x-credential-"),
    ),
    Family(
        source="Apache modules: mod_auth_openidc, mellon, Shibboleth, CAS, SAML",
        prefixes=(
            "ajp-",
            "cas-",
            "mellon-",
            "oidc-",
            "saml-",
            "shib-",
            "x-cas-",
            "x-oidc-",
            "x-saml-",
            "x-shib-",
        ),
    ),
    Family(
        source="SiteMinder, IBM WebSEAL, Oracle Access Manager, IIS, other single sign-on",
        names=("smuser",),
        prefixes=("iv-", "oam-", "sm-", "x-iisnode-", "x-sso-"),
    ),
    Family(
        source="authentik, Pomerium, Vouch, Teleport, Tailscale, caddy-security",
        names=("x-token-subject",),
        prefixes=(
            "tailscale-",
            "teleport-",
            "x-authelia-",
            "x-authentik-",
            "x-keycloak-",
            "x-pomerium-",
            "x-tailscale-",
            "x-token-user-",
            "x-vouch-",
        ),
    ),
    Family(
        source="Google: Identity-Aware Proxy, App Engine, API gateways",
        prefixes=(
            "x-apigateway-",
            "x-endpoint-api-",
            "x-goog-authenticated-",
            "x-goog-iap-",
        ),
    ),
    Family(
        source="Azure App Service authentication (Easy Auth)",
        prefixes=("x-ms-client-principal", "x-ms-token-"),
    ),
    Family(
        source="AWS load balancers, VPC Lattice and Lambda adapters",
        names=("x-amzn-lambda-context", "x-amzn-request-context"),
        prefixes=("x-amzn-lattice-", "x-amzn-oidc-"),
    ),
    Family(source="Cloudflare Access", prefixes=("cf-access-",)),
    Family(
        source="claims and peers that a service mesh verified: Envoy, Istio, Linkerd, WSO2",
        names=("x-jwt-assertion", "x-jwt-payload"),
        prefixes=("l5d-", "x-claim-", "x-claims-", "x-istio-", "x-jwt-claim"),
    ),
    Family(
        source="mobile operators: the number of the subscriber",
        names=("msisdn", "x-msisdn", "x-nokia-msisdn", "x-up-calling-line-id"),
    ),
    Family(
        source="API marketplaces: who subscribed",
        prefixes=("x-mashape-user", "x-rapidapi-proxy-", "x-rapidapi-user"),
    ),
    Family(
        source="Hasura, Home Assistant, Open WebUI, Ory Kratos, Posit, Red Hat, Replit, Sandstorm",
        names=("x-rh-identity",),
        prefixes=(
            "rstudio-connect-credentials",
            "shiny-server-credentials",
            "x-hasura-",
            "x-hass-",
            "x-kratos-authenticated-",
            "x-openwebui-user-",
            "x-replit-user-",
            "x-rstudio-user",
            "x-sandstorm-",
        ),
    ),
)

# What clients do send although a family above includes it: gRPC-Web and the Google
# API clients say in X-User-Agent who they are, as browsers forbid User-Agent.
ORDINARY: Final = frozenset((b"x-user-agent",))


def is_identity_name(normalized: bytes) -> bool:
    """Return whether the name belongs to a family of `IDENTITY`."""
    if normalized in _IDENTITY_NAMES:
        return True
    return normalized.startswith(_IDENTITY_PREFIXES) and normalized not in ORDINARY


def is_forwarding_name(normalized: bytes) -> bool:
    """Return whether the name belongs to a family of `FORWARDING`."""
    return normalized in _FORWARDING_NAMES or normalized.startswith(
        _FORWARDING_PREFIXES
    )


def _names(families: tuple[Family, ...]) -> frozenset[bytes]:
    return frozenset(name.encode() for family in families for name in family.names)


def _prefixes(families: tuple[Family, ...]) -> tuple[bytes, ...]:
    return tuple(prefix.encode() for family in families for prefix in family.prefixes)


_FORWARDING_NAMES: Final = _names(FORWARDING)
_FORWARDING_PREFIXES: Final = _prefixes(FORWARDING)
_IDENTITY_NAMES: Final = _names(IDENTITY)
_IDENTITY_PREFIXES: Final = _prefixes(IDENTITY)
