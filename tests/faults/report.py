"""The table of results."""

from tests.faults.trial import Outcome

_COLUMNS = (
    "row", "workers", "requests", "per second", "unavailable", "lost", "wrong allows",
    "wrong denies", "sent twice", "recovery", "slowest public", "notes",
)  # fmt: skip


def heading() -> str:
    """The head of the Markdown table."""
    return f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}"


def line(outcome: Outcome) -> str:
    """One row of the Markdown table."""
    found = outcome.findings
    notes = list(outcome.notes)
    if found.truncated:
        notes.append(f"{len(found.truncated)} responses cut off, and seen to be")
    if found.refused:
        notes.append(f"{len(found.refused)} connections refused")
    if found.raced:
        notes.append(f"{found.raced} kept connections closed as a POST was sent")
    if found.streams_cut:
        notes.append(f"{len(found.streams_cut)} WebSockets cut")
    if outcome.held_back:
        notes.append(f"{outcome.held_back} requests not sent: too many were waiting")
    recovery = "-" if outcome.recovery is None else f"{outcome.recovery:.2f} s"
    cells = (
        f"`{outcome.row.name}`",
        outcome.workers,
        f"{found.visits:,}",
        f"{outcome.rate:.0f}",
        f"{found.unavailable:,}",
        len(found.lost),
        len(found.wrong_allows),
        len(found.wrong_denies),
        len(found.sent_twice),
        recovery,
        f"{outcome.slowest * 1000:.0f} ms",
        "; ".join(notes),
    )
    return f"| {' | '.join(map(str, cells))} |"
