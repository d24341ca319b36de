import pytest

from gateway.pages.description import PHRASES, describe
from gateway.reasons import ROWS, Action, Reason

HIDING = [reason for reason in Reason if reason is not Reason.NO_ROUTE]


@pytest.mark.parametrize("reason", HIDING, ids=str)
def test_a_404_is_the_same_whatever_it_hides(reason: Reason) -> None:
    """A route with `forbidden: "404"` tells nobody that it is there."""
    reported = describe(404, reason, "the admin page")

    assert reported == describe(404, Reason.NO_ROUTE)


@pytest.mark.parametrize("reason", list(Reason), ids=str)
def test_every_reason_has_a_title_a_heading_and_a_sentence(reason: Reason) -> None:
    row = ROWS[reason]
    reported = describe(row.status, reason)

    assert reported.reason is reason
    assert reported.heading == row.heading
    assert reported.action is row.action
    assert reported.title == PHRASES[row.status]
    assert reported.sentence == row.sentence
    assert reported.heading[0].isupper()
    assert reported.sentence.endswith(".")


@pytest.mark.parametrize(
    ("reason", "action"),
    [
        (Reason.NO_SESSION, Action.SIGN_IN),
        (Reason.SESSION_REVOKED, Action.SIGN_IN),
        (Reason.STEP_UP, Action.SIGN_IN),
        (Reason.TENANT_MISSING, Action.CHOOSE_TENANT),
        (Reason.NOT_ADMIN, Action.HOME),
        (Reason.STORE_UNAVAILABLE, Action.RETRY),
        (Reason.UPSTREAM_TIMEOUT, Action.RETRY),
    ],
)
def test_the_next_step_fits_the_reason(reason: Reason, action: Action) -> None:
    assert describe(ROWS[reason].status, reason).action is action


def test_a_detail_replaces_the_sentence() -> None:
    reported = describe(400, Reason.BAD_TARGET, "The path holds an encoded slash.")

    assert reported.sentence == "The path holds an encoded slash."


def test_an_unusual_status_still_has_a_title() -> None:
    assert describe(599, Reason.INTERNAL).title == "Error"
