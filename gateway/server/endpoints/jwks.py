"""`GET /.gateway/jwks.json`: the public keys for verifying tokens."""

from gateway.pages.reply import Reply
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse
from gateway.tokens.ring import JWKS_MAX_AGE


async def jwks(context: RequestContext) -> LocalResponse:
    """Return the JWK Set (RFC 7517, section 5).

    `max-age` is shorter than the delay before a new key signs, so a verifier that
    caches accordingly always knows the key.
    """
    return LocalResponse(
        reply=Reply(
            status=200,
            headers=(
                ("Content-Type", "application/jwk-set+json"),
                ("Cache-Control", f"public, max-age={JWKS_MAX_AGE}"),
                ("Access-Control-Allow-Origin", "*"),
                ("X-Content-Type-Options", "nosniff"),
            ),
            body=context.runtime.jwks,
        )
    )
