"""What is reported of what the gateway depends on."""

from tests.observe.lines import Lines
from tests.server.reporting.contexts import reported


def test_an_unreadable_record_is_logged_with_a_part_of_its_key(lines: Lines) -> None:
    (line,) = reported(
        lines,
        lambda reporter: reporter.dependencies.log_corrupt_record(
            "ab" * 32, "not JSON"
        ),
    )

    assert (line["key"], line["why"]) == ("abababababab", "not JSON")
