from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.pages.pages import Pages
from gateway.pages.templates import content_security_policy
from gateway.reasons import Reason

ID = "0123456789abcdef0123456789abcdef"


def body_of(
    pages: Pages,
    reason: Reason = Reason.NOT_ADMIN,
    status: int = 403,
    login: str | None = None,
) -> str:
    return pages.problem(
        status, reason, html=True, request_id=ID, login_url=login
    ).body.decode()


@pytest.mark.parametrize(
    ("files", "place", "message"),
    [
        pytest.param({"error.html": "a\n{% if %}"}, "error.html:2", "Expected", id="syntax"),
        pytest.param({"error.html": "a\n\n{{ titel }}"}, "error.html:3", "titel", id="unknown variable"),
        pytest.param({"error.html": "{{ title|shout }}"}, "error.html:1", "shout", id="unknown filter"),
        pytest.param({"error.html": '\n{% extends "gone.html" %}'}, "error.html:2", "gone.html", id="unknown parent"),
        pytest.param({"error.html": "\n{{ 1 // 0 }}"}, "error.html:2", "division", id="raises"),
        pytest.param({"error.html": "{% if status == 503 %}\n{{ nope }}{% endif %}"}, "error.html:2", "nope", id="in one status only"),
        pytest.param({"base.html": "{% block content %}"}, "base.html:1", "endblock", id="parent not closed"),
        pytest.param({"style.css": "main {#a}"}, "style.css:1", "comment", id="style"),
        pytest.param({"error.html": '{% include "part.html" %}', "part.html": "{{ x y }}"}, "part.html:1", "expected token", id="own part"),
        pytest.param({"errors.html": "hello"}, "", "no file here replaces a page", id="wrong name"),
        pytest.param({}, "", "no file here replaces a page", id="empty folder"),
    ],
)  # fmt: skip
def test_a_broken_replacement_is_reported_with_file_and_line(
    tmp_path: Path, files: dict[str, str], place: str, message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    with pytest.raises(ConfigError) as caught:
        Pages(tmp_path)

    reported = str(caught.value)
    assert message in reported
    assert reported.startswith(str(tmp_path / place) if place else str(tmp_path))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("reason", Reason)
def test_our_own_pages_can_be_rendered_for_every_reason(
    status: int, reason: Reason
) -> None:
    for login in (None, "/auth/login"):
        assert "</html>" in body_of(Pages(), reason, status, login)


def test_our_own_templates_are_compiled_once() -> None:
    assert Pages()._templates._builtin is Pages()._templates._builtin


def test_a_replacement_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "error.html").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match=r"error\.html"):
        Pages(tmp_path)


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        Pages(tmp_path / "gone")


def test_two_broken_replacements_are_both_reported(tmp_path: Path) -> None:
    (tmp_path / "error.html").write_text("{% if %}")
    (tmp_path / "base.html").write_text("{{ }}")

    with pytest.raises(ConfigError) as caught:
        Pages(tmp_path)

    assert len(caught.value.problems) == 2


def test_a_page_that_fails_after_all_is_replaced_by_ours(tmp_path: Path) -> None:
    """A template may break on what no sample had; the reader gets our page."""
    (tmp_path / "error.html").write_text(
        "{% if request_id != '5f0c8a2e9d4b4c6f8a1e7b3d2c9f0a61' %}"
        "{{ 1 // 0 }}{% endif %}mine"
    )

    assert "You don" in body_of(Pages(tmp_path))


def test_a_replacement_escapes_as_ours_do(tmp_path: Path) -> None:
    (tmp_path / "error.html").write_text("<p>{{ login_url }}</p>{{ sentence }}")

    body = body_of(Pages(tmp_path), login="/login?<b>")

    assert "<p>/login?&lt;b&gt;</p>" in body


def test_a_style_of_ones_own_is_what_the_policy_allows(tmp_path: Path) -> None:
    (tmp_path / "style.css").write_text("main { color: teal }\n")
    reply = Pages(tmp_path).problem(403, Reason.NOT_ADMIN, html=True, request_id=ID)

    policy = dict(reply.headers)["Content-Security-Policy"]
    assert b"<style>main { color: teal }</style>" in reply.body
    assert policy == content_security_policy("<style>main { color: teal }</style>")


def test_a_replacement_may_extend_what_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "base.html").write_text(
        '{% extends "gateway/base.html" %}{% block mark %}<b>Acme</b>{% endblock %}'
    )

    body = body_of(Pages(tmp_path))

    assert "<b>Acme</b>" in body
    assert 'class="mark"' not in body
    assert "You don" in body


def test_a_replacement_may_do_more_than_print_the_request_id(tmp_path: Path) -> None:
    """Then a page is made anew for each request."""
    (tmp_path / "error.html").write_text(
        "{{ request_id|upper }} {{ (login_url or '')|length }}"
    )

    assert body_of(Pages(tmp_path), login="/login") == f"{ID.upper()} 6"


def test_a_page_of_its_own_reuses_the_layout(tmp_path: Path) -> None:
    (tmp_path / "base.html").write_text('{% extends "gateway/base.html" %}')
    (tmp_path / "hello.html").write_text(
        '{% extends "base.html" %}{% block title %}Hi{% endblock %}'
        "{% block content %}<h1>{{ name }}</h1>{% endblock %}"
    )

    reply = Pages(tmp_path).page("hello.html", {"name": "<b>"})

    assert reply.status == 200
    assert b"<h1>&lt;b&gt;</h1>" in reply.body
    assert dict(reply.headers)["Content-Type"] == "text/html; charset=utf-8"


def test_a_page_without_style_allows_none() -> None:
    assert "style-src 'none'" in content_security_policy("<p>plain</p>")
