"""How a fact looks: `gateway explain` is read by people, and by their eyes alone."""

from gateway.cli.explain_lines import answer, check, line, method_not_allowed
from gateway.reasons import Reason
from gateway.spine.answers import Problem, Redirect


def test_a_question_was_not_asked_passed_or_failed_with_its_word() -> None:
    assert check("a role", required=False) == "  -     a role"
    assert check("a role") == "  pass  a role"
    assert check("a role", Reason.ROLE_MISSING) == "  FAIL  a role   role_missing"


def test_what_was_not_asked_has_no_objection() -> None:
    assert check("a role", Reason.ROLE_MISSING, required=False) == "  -     a role"


def test_facts_stand_in_one_column() -> None:
    assert [line("route", "x").index("x"), line("", "x").index("x")] == [10, 10]


def test_an_answer_names_where_it_leads_and_how_to_sign_in() -> None:
    moved = Redirect(status=302, location="/login")
    refused = Problem(
        status=401,
        reason=Reason.NO_SESSION,
        html=False,
        headers=(("WWW-Authenticate", "Session"), ("X-Other", "y")),
    )

    assert answer("answer", "a browser", moved) == (
        "answer    a browser gets 302, Location: /login"
    )
    assert answer("", "a program", refused) == (
        "          a program gets 401, WWW-Authenticate: Session"
    )


def test_a_method_that_is_not_taken_names_those_that_are() -> None:
    assert list(method_not_allowed("PUT", ("GET", "HEAD"))) == [
        "route     none takes PUT: 405 method_not_allowed",
        "          allowed: GET, HEAD",
    ]
