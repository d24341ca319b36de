"""Where time and chance come from, and what is gathered of one request."""

from dataclasses import fields

import pytest

from gateway.reasons import Reason
from gateway.server.edge import Edge
from gateway.server.story import Story


def test_ids_are_not_repeated_when_the_page_of_chance_is_used_up() -> None:
    edge = Edge()

    drawn = [edge.hex(16) for _ in range(1000)]  # of 256 in a page

    assert len(set(drawn)) == 1000
    assert {len(one) for one in drawn} == {32}


@pytest.mark.parametrize("count", [1, 8, 16, 4095, 4096])
def test_as_much_is_drawn_as_was_asked_for(count: int) -> None:
    edge = Edge()
    edge.hex(3)

    assert len(edge.hex(count)) == 2 * count
    assert len(edge.secret(count)) == count


def test_a_secret_is_no_part_of_the_page_that_ids_come_from() -> None:
    edge = Edge()
    edge.hex(1)
    page = edge._pool

    assert edge.secret(32) not in page
    assert page.hex()[2:] not in repr(edge)


def test_the_clocks_go_forward() -> None:
    edge = Edge()

    assert edge.ticks() <= edge.ticks()
    assert edge.now() > 1_700_000_000


def test_a_story_begins_as_a_request_that_could_not_be_read() -> None:
    story = Story(started=1.0, now=2.0, request_id="r")

    assert (story.decision, story.reason) == ("refuse", Reason.BAD_REQUEST)
    assert (story.status, story.answered, story.cut) == (0, False, None)


def test_a_story_has_no_place_for_a_secret() -> None:
    """What a reader of logs could use to become someone has no field here."""
    names = {one.name for one in fields(Story)}

    assert not {name for name in names if "token" in name or "cookie" in name}
