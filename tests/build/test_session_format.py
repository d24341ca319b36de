"""The configuration of an app's sessions: a profile, or every mistake at its place."""

import pytest

from gateway.build.session_format import (
    format_from,
    format_warnings,
    remembered,
)
from gateway.errors import ConfigError
from tests.config.parsed import load, whole

SECRET = "a secret that only this test knows"


def refused(*lines: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        format_from(load(whole(*lines)))
    return [str(each).removeprefix("g.yaml:") for each in caught.value.problems]


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        pytest.param(
            ["sessions:", "  format: better-auth"],
            ["3:3: the session cookie is signed, and no secret is given"],
            id="no-secret",
        ),
        pytest.param(
            [
                "sessions:",
                "  format: better-auth",
                "  secrets: [better-auth-secret-12345678901234567890]",
            ],
            ["4:12: the secret is a public default: anyone can sign sessions"],
            id="the-library-s-default-secret",
        ),
        pytest.param(
            ["sessions: {format: express-session, secrets: [short]}"],
            ["2:46: the secret is shorter than 8 bytes"],
            id="short-secret",
        ),
        pytest.param(
            [
                "sessions:",
                "  format: json",
                "  cookie: {name: sid}",
                "  profile:",
                '    id: "^[a-z]{32}"',
                "    idenity: $.user.id",
                "    identity: $.user.id",
                '    key: "s:{id}"',
            ],
            [
                "6:9: the id pattern is anchored at one end only",
                '7:5: unknown key "idenity"; did you mean "identity"?',
            ],
            id="unanchored-and-unknown",
        ),
        pytest.param(
            ["sessions: {format: lucia, allow_pickle: true}"],
            ["2:41: only flask-session and django know it"],
            id="pickle-elsewhere",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(
    lines: list[str], problems: list[str]
) -> None:
    reported = [each.split(": ", 1) for each in refused(*lines)]

    assert [place for place, _ in reported] == [
        each.split(": ", 1)[0] for each in problems
    ]
    for (_, message), wanted in zip(reported, problems, strict=True):
        assert message.startswith(wanted.split(": ", 1)[1][:24])
    assert SECRET not in repr(reported)


def test_the_gateway_s_own_format_has_no_profile() -> None:
    assert format_from(load(whole())) is None


def test_the_name_of_the_cookie_follows_the_library_unless_it_is_set() -> None:
    stated = f"secrets: ['{SECRET}']"
    http = format_from(load(whole(f"sessions: {{format: better-auth, {stated}}}")))
    https = format_from(
        load(
            whole(
                f"sessions: {{format: better-auth, {stated}}}",
                "server: {public_url: https://app.example}",
            )
        )
    )
    named = format_from(
        load(
            whole(
                f"sessions: {{format: better-auth, {stated}, cookie: {{name: s}}}}",
                "server: {public_url: https://app.example}",
            )
        )
    )

    assert http is not None
    assert https is not None
    assert named is not None
    assert http.cookie_name == b"better-auth.session_token"
    assert https.cookie_name == b"__Secure-better-auth.session_token"
    assert named.cookie_name == b"s"


def test_what_never_ends_is_remembered_longer_than_anything() -> None:
    ending = load(whole("sessions: {format: lucia, remember_ended: 60d}"))
    endless = load(whole("sessions: {format: aiohttp-session}"))
    one, other = format_from(ending), format_from(endless)

    assert one is not None
    assert other is not None
    assert remembered(ending.config, one) == 60 * 86_400
    assert remembered(endless.config, other) == 3650 * 86_400


def test_a_recent_sign_in_is_doubted_where_its_time_is_unknown() -> None:
    routes = (
        "version: 1\nupstreams: {app: {url: http://a.test, session_cookie: forward}}\n"
        "routes: [{match: /**, rule: protected, upstream: app, require: "
        "{authenticated_within: 5m}}]\nsessions: "
    )
    silent = load(routes + "{format: django}\n")
    telling = load(routes + "{format: starsessions}\n")
    one, other = format_from(silent), format_from(telling)

    assert one is not None
    assert other is not None
    (warning,) = format_warnings(silent, one)
    assert (warning.line, "django" in warning.message) == (3, True)
    assert format_warnings(telling, other) == []
