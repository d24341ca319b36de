"""`GET /.gateway/jwks.json`: the public keys, for whoever verifies our tokens."""

from gateway.http.head import RequestHead
from gateway.pages.reply import Reply
from gateway.server.endpoints.answered import OwnAnswer
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.tokens.ring import JWKS_MAX_AGE


async def jwks(
    _exchange: Exchange,
    _head: RequestHead,
    serving: Serving,
    _story: Story,
    _tools: Tools,
) -> OwnAnswer:
    """Answer with the JWK Set (RFC 7517, section 5).

    The age is shorter than a new key waits before it signs, so that a verifier
    that obeys it never meets a key that it has not seen.
    """
    return OwnAnswer(
        reply=Reply(
            status=200,
            headers=(
                ("Content-Type", "application/jwk-set+json"),
                ("Cache-Control", f"public, max-age={JWKS_MAX_AGE}"),
                ("Access-Control-Allow-Origin", "*"),
                ("X-Content-Type-Options", "nosniff"),
            ),
            body=serving.jwks,
        )
    )
