"""Prints sessions as a table, or a page of them as JSON."""

from collections.abc import Sequence

import click

from gateway.cli.records import document, print_json, printable
from gateway.sessions.record import Session
from gateway.sessions.timestamps import format_timestamp


def print_page(page: Sequence[Session], after: str, *, as_json: bool) -> None:
    """Print one page of a list; `after`: the next cursor, "0" on the last page."""
    people = len({session.identity.id for session in page})
    cursor = None if after == "0" else after
    if as_json:
        counts = {"sessions": len(page), "identities": people, "cursor": cursor}
        print_json({**counts, "items": [document(session) for session in page]})
        return
    print_table(page, of_all=True)
    one = "session" if len(page) == 1 else "sessions"
    whose = "identity" if people == 1 else "identities"
    click.echo(f"\n{len(page)} {one} of {people} {whose}")
    if cursor is not None:
        click.echo(f"not all; add --cursor {cursor} for the next page")


def print_table(listed: Sequence[Session], *, of_all: bool) -> None:
    """Print a row for each session; `of_all`: with its identity."""
    row = "{:36}  {:20}  {:20}  {:20}  {}".format
    device_head = f"{'IDENTITY':20}  DEVICE" if of_all else "DEVICE"
    click.echo(row("SESSION", "SIGNED IN", "EXPIRES", "LAST SEEN", device_head))
    for session in listed:
        device = session.devices[0] if session.devices else None
        times = (session.authenticated_at, session.expires_at, session.last_seen_at)
        whose = f"{printable(session.identity.id):20}  " if of_all else ""
        click.echo(
            row(
                printable(session.id),
                *(format_timestamp(int(moment)) for moment in times),
                whose
                + printable(
                    f"{device.ip_address} {device.user_agent}" if device else ""
                ),
            ).rstrip()
        )
