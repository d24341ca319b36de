"""What an answer does to the session cookie of an app."""

import pytest

from gateway.server.app_cookies import cookie_changes
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.settings import FormatSettings

SID = "5e55105e" * 4
PROFILE = compile_format(
    FormatSettings(
        format="json",
        cookie_name="sid",
        profile={"id": "[0-9a-f]{32}", "key": "s:{id}", "identity": "$.id"},
    )
)


@pytest.mark.parametrize(
    ("line", "taken_back"),
    [
        pytest.param("sid=; Path=/; Max-Age=0", True, id="max-age"),
        pytest.param("sid=x; max-age=-1; path=/; HttpOnly", True, id="negative"),
        pytest.param(
            "sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", True, id="the-epoch"
        ),
        pytest.param(
            'sid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/',
            True,
            id="django",
        ),
        pytest.param("sid=; Path=/old; Max-Age=0", False, id="another-path"),
        pytest.param("sid=; Max-Age=0", False, id="the-path-of-the-request"),
        pytest.param("sid.sig=; Path=/; Max-Age=0", False, id="another-name"),
        pytest.param("xsid=; Path=/; Max-Age=0", False, id="a-longer-name"),
        pytest.param("other=sid; Path=/; Max-Age=0", False, id="another-s-value"),
        pytest.param("sid=; Path=/", False, id="empty-for-this-window"),
        pytest.param("sid=x; Path=/; Max-Age=3600", False, id="alive"),
        pytest.param("sid=x; Path=/; Max-Age=soon", False, id="nonsense"),
        pytest.param("sid=x; Path=/; Max-Age=" + "9" * 5000, False, id="endless"),
        pytest.param("sid", False, id="no-pair"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_a_cookie_is_taken_back_only_by_what_removes_it(
    line: str, taken_back: bool
) -> None:
    changes = cookie_changes([(b"Set-Cookie", line.encode())], PROFILE)

    assert changes.taken_back is taken_back
    assert changes.set == ()


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        (f"sid={SID}; Path=/; HttpOnly", 1),
        (f"sid={SID}", 1),
        (f"sid={SID[:-1]}; Path=/", 0),
        (f"sid={SID}, sid={SID}", 0),
        (f"other={SID}; sid={SID}", 0),
    ],
)
def test_a_session_is_set_by_what_the_gateway_would_take_back(
    line: str, keys: int
) -> None:
    changes = cookie_changes([(b"set-cookie", line.encode()), (b"X", b"sid")], PROFILE)

    assert len(changes.set) == keys


GONE = "sid=; Path=/; Max-Age=0"
SET = f"sid={SID}; Path=/; HttpOnly"


@pytest.mark.parametrize(
    ("lines", "keys", "taken_back"),
    [
        ([GONE, SET], 1, False),
        ([SET, GONE], 0, True),
        ([SET, "other=; Path=/; Max-Age=0"], 1, False),
        ([GONE, GONE, SET, SET], 2, False),
    ],
)
def test_the_last_line_for_the_cookie_decides(
    lines: list[str], keys: int, taken_back: bool
) -> None:
    """An admin who stops impersonating a user is not signed out by the response."""
    changes = cookie_changes(
        [(b"Set-Cookie", each.encode()) for each in lines], PROFILE
    )

    assert (len(changes.set), changes.taken_back) == (keys, taken_back)
