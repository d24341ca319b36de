"""A Django project in one file, with its sessions in a cache in Redis.

Nothing in it knows of the gateway: /admin has no check of its own.
"""

import json
import os
from typing import Any

import django
import redis
from django.conf import settings

JSON_CACHE = {"OPTIONS": {"serializer": "django.core.signing.JSONSerializer"}}

settings.configure(
    SECRET_KEY=os.environ["SESSION_SECRET"],
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {
                            "registration/login.html": """<form method="post">
                                {% csrf_token %}{{ form }}<button>Sign in</button>
                                </form>"""
                        },
                    )
                ]
            },
        }
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SESSION_CACHE_ALIAS="sessions",
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "sessions": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["REDIS_URL"],
            **({} if os.environ.get("PICKLE") else JSON_CACHE),
        },
    },
    LOGIN_REDIRECT_URL="/dashboard",
    LOGOUT_REDIRECT_URL="/",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.signals import user_logged_in  # noqa: E402
from django.contrib.auth.views import LoginView, LogoutView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.servers.basehttp import (  # noqa: E402
    ThreadedWSGIServer,
    WSGIRequestHandler,
)
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.dispatch import receiver  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

STORE = redis.Redis.from_url(os.environ["REDIS_URL"])


@receiver(user_logged_in)
def tell_the_gateway(request: HttpRequest, user: Any, **_: Any) -> None:
    """Put into the session what the gateway is to know besides the id."""
    request.session["email"] = user.email
    request.session["roles"] = ["admin"] if user.is_superuser else ["member"]


def basket(request: HttpRequest) -> JsonResponse:
    request.session["basket"] = [*request.session.get("basket", []), "apples"]
    return JsonResponse({"basket": request.session["basket"]})


def report(request: HttpRequest) -> JsonResponse:
    """Answer late; the session is written back with the answer."""
    request.session["reports"] = request.session.get("reports", 0) + 1
    STORE.rpush("report:started", "1")
    STORE.blpop(["report:finish"], timeout=60)
    return JsonResponse({"reports": request.session["reports"]})


def told(request: HttpRequest) -> JsonResponse:
    """Tell what arrived; `me` is whom the app itself takes the visitor for."""
    headers = [part for pair in request.headers.items() for part in pair]
    return JsonResponse({"me": request.user.pk, "headers": headers})


def password(request: HttpRequest) -> JsonResponse:
    """Set the password of a user, as a colleague in the admin pages would."""
    user = get_user_model().objects.get(email=request.GET["email"])
    user.set_password(request.GET["password"])
    user.save()
    return JsonResponse({})


urlpatterns = [
    path("login", LoginView.as_view()),
    path("logout", LogoutView.as_view()),
    path("basket", basket),
    path("dashboard/report", report),
    path("", told),
    path("dashboard", told),
    path("admin", told),
    path("set-password", password),
]


def main() -> None:
    call_command("migrate", verbosity=0)
    for known in json.loads(os.environ["USERS"]):
        get_user_model().objects.create_user(
            known["email"],
            known["email"],
            known["password"],
            is_superuser=known["role"] == "admin",
        )
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
