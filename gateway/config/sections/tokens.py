"""`tokens`: the tokens for upstreams."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from gateway.config import patterns, values
from gateway.config.types import (
    ANY_TEXT,
    LIST,
    CookieName,
    Duration,
    HeaderName,
    Model,
    Name,
    Text,
    in_schema,
    or_list,
)


class Profile(Model):
    """Audience, header and claims of a token."""

    audience: Annotated[
        tuple[Text, ...],
        LIST,
        Field(min_length=1, max_length=8),
        or_list({"type": "string"}),
    ] = Field(description="The `aud` claim: a text, or a list of them.")
    lifetime: Duration | None = Field(
        None, description="Lifetime of its tokens; default: `tokens.lifetime`."
    )
    header: HeaderName | None = Field(
        None,
        description='Request header for the token; `Authorization` is sent as "Bearer '
        '<jwt>".',
    )
    cookie: CookieName | None = Field(
        None, description="Cookie that also sends the token to the browser, HttpOnly."
    )
    browser: bool = Field(
        False,
        description="Whether pages get its tokens: `GET /.gateway/token?profile=NAME`, and "
        "`tokenize_as` of whoami. It requires an audience of its own.",
    )
    claims: Annotated[
        dict[str, Any] | None,
        PlainValidator(patterns.claims),
        in_schema(type="object", additionalProperties=True),
    ] = Field(
        None,
        description="Custom claims: literals, lists, or text with placeholders such as "
        "`{tenant.id}`. Default: the session (user, roles, tenants, times); `{}`: none.",
    )


class Tokens(Model):
    """Signed, short-lived tokens for upstreams and databases."""

    issuer: Text | None = Field(
        None, description="The `iss` claim; default: `server.public_url`."
    )
    algorithm: Literal["ES256", "EdDSA", "RS256", "HS256"] = Field(
        "ES256", description="Signature algorithm."
    )
    keys: Annotated[str, PlainValidator(values.keys_place), ANY_TEXT] = Field(
        "embedded",
        description="Folder of PEM files created by `gateway keys new`; `embedded`: created"
        " at startup, for evaluation.",
    )
    lifetime: Duration = Field(60.0, description="Lifetime of a token.")
    profiles: dict[Name, Profile] = Field({}, description="Token profiles by name.")

    @property
    def longest_lifetime(self) -> float:
        """The longest lifetime of any token, in seconds."""
        own = (each.lifetime or self.lifetime for each in self.profiles.values())
        return max(own, default=self.lifetime)
