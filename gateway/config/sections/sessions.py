"""`redis` and `sessions`: the session store, the sessions and their cookie."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from gateway.config import fields, secret_values, values
from gateway.config.diagnostic import expected, one_of
from gateway.config.secret_values import Secret
from gateway.config.types import (
    ANY_TEXT,
    CookieName,
    Duration,
    Many,
    Model,
    Text,
    in_schema,
)
from gateway.sessions.formats.profiles import LIBRARIES
from gateway.sessions.redis.url import RedisAddress, parse_redis_url


def _secure(value: Any) -> Any:
    if value == "auto" or isinstance(value, bool):
        return value
    raise expected("true, false or auto")


FOREIGN_FORMATS = tuple(LIBRARIES)


def _format(value: Any) -> Any:
    known = ("gateway", *FOREIGN_FORMATS)
    if not isinstance(value, str) or value not in known:
        raise one_of(value, known)
    return value


class Redis(Model):
    """The session store."""

    url: Annotated[Secret, PlainValidator(secret_values.redis_url), ANY_TEXT] = Field(
        Secret("redis://127.0.0.1:6379/0"),
        description="`embedded`, `redis://`, `rediss://`, `unix://`, "
        "`redis+sentinel://h:p,h:p/name` or `redis+cluster://h:p,h:p`. May "
        "contain user and password, percent-encoded.",
    )
    username: Text | None = Field(
        None, description="Redis ACL user; default: that of the URL."
    )
    password: (
        Annotated[Secret, PlainValidator(secret_values.password), ANY_TEXT] | None
    ) = Field(
        None,
        description="Redis password, not percent-encoded; default: that of the URL.",
    )
    timeout: Duration = Field(
        0.25, description="For one response of Redis; above: 503."
    )

    @property
    def address(self) -> RedisAddress | None:
        """Where Redis is, with user and password; None if it is embedded."""
        url = self.url.get_secret_value()
        if url == "embedded":
            return None
        address = parse_redis_url(url)
        if self.username is not None:
            address = replace(address, username=self.username)
        if self.password is not None:
            address = replace(address, password=self.password.get_secret_value())
        return address


class SessionCookie(Model):
    """The cookie that carries the session token."""

    name: CookieName = Field(
        "gateway_session",
        description="Becomes `__Host-<name>` if the cookie is secure and has no domain.",
    )
    secure: Annotated[
        bool | Literal["auto"],
        PlainValidator(_secure),
        in_schema(enum=[True, False, "auto"]),
    ] = Field(
        "auto",
        description="Whether the cookie has the Secure attribute; `auto`: if "
        "`server.public_url` is https.",
    )
    same_site: Literal["strict", "lax", "none"] = Field(
        "lax", description="SameSite attribute; `none` requires a secure cookie."
    )
    domain: Annotated[str, PlainValidator(fields.domain), ANY_TEXT] | None = Field(
        None,
        description="Domain with whose hosts the cookie is shared; `null`: only the current"
        " host.",
    )
    persistent: bool = Field(
        True, description="Whether the cookie is kept when the browser closes."
    )
    value: Literal["plain", "percent", "base64"] | None = Field(
        None,
        description="Encoding of the cookie value; default: that of the library. Only for a"
        " `format` other than `gateway`.",
    )


class Sessions(Model):
    """Lifetime and cookie of sessions."""

    format: Annotated[
        str,
        PlainValidator(_format),
        in_schema(enum=["gateway", *FOREIGN_FORMATS]),
    ] = Field(
        "gateway",
        description="What writes the sessions: `gateway`, or a library in an app, whose "
        "sessions are read (docs/session-formats.md): `better-auth`, "
        "`express-session`, `flask-session`, `django`, `starsessions`, "
        "`aiohttp-session`, `authjs`, `lucia`; `json`: defined by `profile`.",
    )
    cookie: SessionCookie = Field(SessionCookie(), description="The session cookie.")
    lifespan: Duration = Field(
        86400.0, description="Lifetime per sign-in or extension."
    )
    idle_timeout: Duration | None = Field(
        None, description="Time without use after which a session ends; `null`: none."
    )
    extend_within: Duration | None = Field(
        None,
        description="A request within this time before the end extends the session by one "
        "lifespan; `null`: no extension.",
    )
    max_per_identity: Many | None = Field(
        None,
        description="Maximum number of sessions per identity; the oldest ends first. "
        "`null`: no limit.",
    )
    secrets: (
        tuple[Annotated[Secret, PlainValidator(secret_values.secret), ANY_TEXT], ...]
        | None
    ) = Field(
        None,
        description="Other formats: secrets with which the app signs its cookie, in the "
        "order of its library.",
    )
    key_prefix: Annotated[str, PlainValidator(values.prefix), ANY_TEXT] | None = Field(
        None,
        description="Other formats: prefix of the Redis keys, before the ID; default: that "
        "of the library.",
    )
    profile: dict[str, Any] | None = Field(
        None,
        description="Other formats: differences between the app and the defaults of its "
        "library; for `json`, the whole format.",
    )
    allow_pickle: bool | None = Field(
        None,
        description="`django` and `flask-session`: read pickled records, without executing "
        "them.",
    )
    remember_ended: Duration = Field(
        31 * 86400.0,
        description="Other formats: minimum time for which the gateway remembers ended "
        "sessions. Not shorter than the app's longest session.",
    )

    @property
    def external(self) -> bool:
        """Whether another program writes the sessions."""
        return self.format != "gateway"
