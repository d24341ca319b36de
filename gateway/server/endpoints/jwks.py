"""`GET /.gateway/jwks.json`: the public keys, for whoever verifies our tokens."""

from gateway.pages.reply import Reply
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse
from gateway.tokens.ring import JWKS_MAX_AGE


async def jwks(context: RequestContext) -> LocalResponse:
    """Answer with the JWK Set (RFC 7517, section 5).

    The age is shorter than a new key waits before it signs, so that a verifier
    that obeys it never meets a key that it has not seen.
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
