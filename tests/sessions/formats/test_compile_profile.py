"""Settings become a profile, or say everything that is wrong."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.sessions.formats.codecs import Codec
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.profile import CookieValue, Unit
from gateway.sessions.formats.settings import FormatRefused, FormatSettings
from gateway.sessions.formats.signatures import Signature
from tests.sessions.formats.samples import CUSTOM, SECRETS, settings


@pytest.mark.parametrize(
    ("given", "where", "why"),
    [
        pytest.param(settings("laravel"), ("format",), "unknown", id="format"),
        pytest.param(settings("better-auth"), ("secrets",), "no secret", id="ba"),
        pytest.param(settings("express-session"), ("secrets",), "no secret", id="exs"),
        pytest.param(
            settings(
                "better-auth", secrets=("better-auth-secret-12345678901234567890",)
            ),
            ("secrets",),
            "public default",
            id="better-auth-default-secret",
        ),
        pytest.param(
            settings("express-session", secrets=(*SECRETS, "keyboard cat")),
            ("secrets",),
            "public default",
            id="express-public-secret-in-rotation",
        ),
        pytest.param(
            settings("flask-session", secrets=("dev",)),
            ("secrets",),
            "shorter",
            id="flask-dev",
        ),
        pytest.param(
            settings(profile={"signature": "express"}),
            ("secrets",),
            "no secret",
            id="own-signature-without-secret",
        ),
        pytest.param(
            settings(profile={"signature": "itsdangerous"}, secrets=SECRETS),
            ("profile", "salt"),
            "salt",
            id="no-salt",
        ),
        pytest.param(
            settings(profile={"salt": 7}), ("profile", "salt"), "text", id="salt-7"
        ),
        pytest.param(
            settings("better-auth", secrets=SECRETS, profile={"signature": "none"}),
            ("profile", "signature"),
            "signs its cookie",
            id="signature-switched-off",
        ),
        pytest.param(
            settings(profile={"signature": "md5"}),
            ("profile", "signature"),
            "expected one of none, hmac-sha256, hmac-sha256-unpadded, express, itsdangerous",
            id="unknown-signature",
        ),
        pytest.param(
            settings(profile={"id": "[a-z]+"}), ("profile", "id"), "no end", id="id"
        ),
        pytest.param(
            settings(profile={"id": "[a-z]{32}$"}),
            ("profile", "id"),
            "anchored",
            id="unanchored",
        ),
        pytest.param(settings(profile={"id": None}), ("profile", "id"), "", id="no-id"),
        pytest.param(
            settings(profile={"id": "[a-z:]{32}"}),
            ("profile", "id"),
            "colon",
            id="an-unsigned-colon",
        ),
        pytest.param(
            settings(profile={"key": "sess:"}), ("profile", "key"), "{id}", id="key"
        ),
        pytest.param(
            settings(profile={"key": 7}), ("profile", "key"), "text", id="key-7"
        ),
        pytest.param(
            FormatSettings(
                format="json",
                cookie_name="sid",
                profile={"id": "[a-z]{32}", "identity": "$.id"},
            ),
            ("profile", "key"),
            "missing",
            id="no-key",
        ),
        pytest.param(
            settings(key_prefix="p:"), ("key_prefix",), "no place", id="two-prefixes"
        ),
        pytest.param(
            settings("django", key_prefix="{id}"),
            ("key_prefix",),
            "braces",
            id="braces-in-prefix",
        ),
        pytest.param(
            settings(profile={"identity": None}),
            ("profile", "identity"),
            "missing",
            id="nobody",
        ),
        pytest.param(
            settings(profile={"identity": "user.id"}),
            ("profile", "identity"),
            "path",
            id="identity-no-path",
        ),
        pytest.param(
            settings(profile={"identity": ["$.a"] * 9}),
            ("profile", "identity"),
            "at most",
            id="many-paths",
        ),
        pytest.param(
            settings(profile={"email": "$then.email"}),
            ("profile", "email"),
            "second look-up",
            id="then-without-then",
        ),
        pytest.param(
            settings(profile={"echo": "$then.id", "then": {"key": "u:{$.id}"}}),
            ("profile", "echo"),
            "into",
            id="echo-in-then",
        ),
        pytest.param(
            settings(profile={"then": {"key": "u:{id}"}}),
            ("profile", "then", "key"),
            "path",
            id="then-key",
        ),
        pytest.param(
            settings(profile={"then": {"key": "u:{$.id}", "id": ".*"}}),
            ("profile", "then", "id"),
            "anything",
            id="then-id",
        ),
        pytest.param(
            settings(profile={"then": {"key": "u:{$.id}", "required": "yes"}}),
            ("profile", "then", "required"),
            "true or false",
            id="then-required",
        ),
        pytest.param(
            settings(profile={"then": {"kye": "u:{$.id}"}}),
            ("profile", "then", "kye"),
            "unknown",
            id="then-unknown",
        ),
        pytest.param(
            settings(profile={"then": "u:{$.id}"}),
            ("profile", "then"),
            "mapping",
            id="then-text",
        ),
        pytest.param(
            settings(profile={"expires": "never"}),
            ("profile", "expires"),
            "ttl",
            id="expires",
        ),
        pytest.param(
            settings(profile={"expires": {"path": "$.e", "unit": "days"}}),
            ("profile", "expires", "unit"),
            "expected one of s, ms, iso",
            id="unit",
        ),
        pytest.param(
            settings(profile={"expires": {"unit": "s"}}),
            ("profile", "expires", "path"),
            "text",
            id="expires-no-path",
        ),
        pytest.param(
            settings(profile={"expires": {"path": "$.e", "unit": "s", "plus": -1}}),
            ("profile", "expires", "plus"),
            "seconds",
            id="plus",
        ),
        pytest.param(
            settings(profile={"created": "$.c"}),
            ("profile", "created"),
            "mapping",
            id="created",
        ),
        pytest.param(
            settings(profile={"allow_no_ttl": "no"}),
            ("profile", "allow_no_ttl"),
            "true or false",
            id="flag",
        ),
        pytest.param(
            settings(profile={"max_bytes": 2**30}),
            ("profile", "max_bytes"),
            "1048576",
            id="max-bytes",
        ),
        pytest.param(
            settings(profile={"max_bytes": True}),
            ("profile", "max_bytes"),
            "number",
            id="max-bytes-true",
        ),
        pytest.param(
            settings(profile={"values": ["yaml"]}),
            ("profile", "values"),
            "expected one of",
            id="values",
        ),
        pytest.param(
            settings(profile={"values": []}),
            ("profile", "values"),
            "expected some",
            id="no-values",
        ),
        pytest.param(
            settings("django", profile={"values": ["pickle"]}),
            ("profile", "values"),
            "allow_pickle",
            id="pickle-by-the-back-door",
        ),
        pytest.param(
            settings("starsessions", allow_pickle=True),
            ("allow_pickle",),
            "only flask-session and django",
            id="pickle",
        ),
        pytest.param(
            settings(profile={"traits": ["$.a"]}),
            ("profile", "traits"),
            "mapping",
            id="traits",
        ),
        pytest.param(
            settings(profile={"traits": {"a": "b"}}),
            ("profile", "traits", "a"),
            "path",
            id="trait",
        ),
        pytest.param(
            settings(cookie_name="a b"), ("cookie", "name"), "cannot be", id="cookie"
        ),
        pytest.param(
            settings(cookie_name="é"), ("cookie", "name"), "cannot be", id="cookie-é"
        ),
        pytest.param(
            FormatSettings(format="json", profile=CUSTOM),
            ("cookie", "name"),
            "missing",
            id="no-cookie",
        ),
        pytest.param(
            settings(cookie_value="rot13"),
            ("cookie", "value"),
            "plain, percent, base64",
            id="cookie-value",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    given: FormatSettings, where: tuple[str, ...], why: str
) -> None:
    with pytest.raises(FormatRefused) as refused:
        compile_format(given)

    (finding,) = [each for each in refused.value.findings if each.where == where]
    assert why in finding.message


def test_everything_wrong_is_reported_at_once_and_near_names_are_given() -> None:
    with pytest.raises(FormatRefused) as refused:
        compile_format(settings(profile={"role": "$.r", "id": ".*", "identity": "x"}))

    fallback_paths = {finding.where: finding for finding in refused.value.findings}
    assert set(fallback_paths) == {
        ("profile", "role"),
        ("profile", "id"),
        ("profile", "identity"),
    }
    assert fallback_paths["profile", "role"].hint == 'did you mean "roles"?'


def test_secrets_print_nowhere() -> None:
    given = settings("flask-session", secrets=("dev!",))

    with pytest.raises(FormatRefused) as refused:
        compile_format(given)

    assert "dev!" not in repr(given) + str(refused.value) + repr(refused.value.findings)


def test_the_words_of_a_format_of_one_s_own() -> None:
    profile = compile_format(settings(cookie_value="percent"))

    assert profile.cookie_name == b"sid"
    assert profile.cookie_value is CookieValue.PERCENT
    assert profile.verifier.signature is Signature.NONE
    assert profile.max_bytes == 16384
    assert profile.codecs == {Codec.JSON}
    assert profile.expires is None
    assert profile.acl() == ("%R~sess:*",)


def test_the_cookie_s_name_follows_https_where_the_library_s_does() -> None:
    plain = FormatSettings(format="better-auth", secrets=SECRETS)
    secure = FormatSettings(format="better-auth", secrets=SECRETS, secure=True)
    named = FormatSettings(
        format="better-auth", secrets=SECRETS, secure=True, cookie_name="x.session"
    )

    names = [compile_format(each).cookie_name for each in (plain, secure, named)]

    assert names == [
        b"better-auth.session_token",
        b"__Secure-better-auth.session_token",
        b"x.session",
    ]


def test_the_key_of_aiohttp_session_follows_the_cookie() -> None:
    profile = compile_format(
        FormatSettings(format="aiohttp-session", cookie_name="MY_SESSION")
    )

    assert profile.key.of("ID", "") == "MY_SESSION_ID"


def test_the_keys_of_a_profile_replace_those_of_the_library() -> None:
    profile = compile_format(
        FormatSettings(
            format="starsessions",
            profile={
                "identity": "$.account",
                "roles": None,
                "expires": {"path": "$.__metadata__.created", "unit": "s", "plus": 60},
            },
        )
    )

    assert [path.text for path in profile.identity.paths] == ["$.account"]
    assert not profile.roles
    assert profile.expires is not None
    assert profile.expires.unit is Unit.SECONDS


def test_authjs_may_be_read_by_an_acl_of_two_rules() -> None:
    profile = compile_format(FormatSettings(format="authjs", key_prefix="app1:"))

    assert profile.acl() == ("%R~app1:user:session:*", "%R~app1:user:*")


def _examples() -> list[object]:
    text = (Path(__file__).parents[3] / "docs" / "session-formats.md").read_text()
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    given = [yaml.safe_load(textwrap.dedent(block))["sessions"] for block in blocks]
    return [
        pytest.param(each, id=f"{n}-{each['format']}") for n, each in enumerate(given)
    ]


@pytest.mark.parametrize("given", _examples())
def test_the_examples_of_the_docs_compile(
    given: dict[str, Any],
) -> None:
    compile_format(
        FormatSettings(
            format=given["format"],
            cookie_name=given.get("cookie", {}).get("name"),
            key_prefix=given.get("key_prefix"),
            secrets=SECRETS if "secrets" in given else (),
            profile=given.get("profile", {}),
        )
    )
