"""Further libraries and versions: `make test-apps` walks with them (Node 20)."""

import os

from tests.live.libraries import BETTER_AUTH, LIBRARIES, Library
from tests.live.running import APPS

PACKAGES = APPS / "wide"

_KEPT_BESIDE = {"email": "$.email", "roles": "$.role"}


def _better_auth(version: str) -> Library:
    return Library(
        name=f"better-auth {version}",
        example=BETTER_AUTH.example,
        app=BETTER_AUTH.app,
        cookie=BETTER_AUTH.cookie,
        prefix=BETTER_AUTH.prefix,
        signing=BETTER_AUTH.signing,
        keeps_guests=False,
        packages=PACKAGES,
        aliases={"better-auth": f"better-auth-{version}"},
    )


def _express(name: str, **aliases: str) -> Library:
    return Library(
        name=name,
        example="express-session",
        app="express_session.mjs",
        cookie="connect.sid",
        prefix="sess:",
        packages=PACKAGES,
        aliases=aliases,
    )


WIDE = (
    *(_better_auth(version) for version in ("1.3", "1.4", "1.5", "1.6")),
    _express("connect-redis 7", **{"connect-redis": "connect-redis-7"}),
    _express("connect-redis 10", **{"connect-redis": "connect-redis-10"}),
    Library(
        name="h3-session",
        example="express-session",
        app="h3_session.mjs",
        cookie="connect.sid",
        prefix="sess:",
        packages=PACKAGES,
    ),
    Library(
        name="fastify",
        example="express-session",
        app="fastify_session.mjs",
        cookie="sessionId",
        prefix="sess:",
        heading="Fastify",
        packages=PACKAGES,
    ),
    Library(
        name="koa",
        example="express-session",
        app="koa_session.mjs",
        cookie="koa.sid",
        prefix="koa:sess:",
        heading="Koa",
        packages=PACKAGES,
    ),
    Library(
        name="lucia 3",
        example="express-session",
        app="lucia.mjs",
        cookie="auth_session",
        prefix="session:",
        keeps_guests=False,
        heading="Lucia 3",
        packages=PACKAGES,
    ),
    Library(
        name="lucia's recipe",
        example="express-session",
        app="lucia.mjs",
        cookie="session",
        prefix="session:",
        keeps_guests=False,
        hashed=True,
        env={"RECIPE": "1"},
        sessions={"format": "lucia", "secrets": [], "profile": _KEPT_BESIDE},
        packages=PACKAGES,
    ),
)
CHOSEN = WIDE if os.environ.get("APPS") == "all" else LIBRARIES
