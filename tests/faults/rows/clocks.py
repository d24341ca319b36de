"""The wall clock of the gateway jumps; that of its clients and of Redis does not.

libfaketime adds what a file says to the clock that the process reads. It leaves
the monotonic clock alone, as a real jump does.
"""

from pathlib import Path

from tests.faults.load import ORDINARY
from tests.faults.oracle import Expect, State
from tests.faults.sites import build, launch
from tests.faults.trial import Plan, Row, Site, Trial

HOUR = 3600


def faketime_library() -> Path | None:
    """libfaketime of Debian's package `faketime`."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


async def adjustable(plan: Plan) -> Site:
    """A gateway whose clock a file moves, with sessions of one hour."""
    moves = plan.folder / "clock"
    moves.write_text("+0\n")
    env = {
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME_TIMESTAMP_FILE": str(moves),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    site = await build(plan, timeout="3s", start=False, env=env)
    gateway = site.gateway
    sessions = {"sessions": {"lifespan": "1h", "extend_within": None}}
    gateway.config |= sessions
    gateway.write(gateway.config)
    site.parts["clock"] = moves
    await launch(site)
    return site


def _set(trial: Trial, seconds: int) -> None:
    fresh = trial.site.parts["clock"].with_suffix(".new")
    fresh.write_text(f"{seconds:+}\n")
    fresh.replace(trial.site.parts["clock"])


async def back_and_forth(trial: Trial) -> None:
    """Twenty minutes back, right again, and twenty ahead; sessions live for an hour."""
    trial.fault()
    for seconds in (-HOUR // 3, 0, HOUR // 3, 0):
        _set(trial, seconds)
        await trial.under_fault(0.3)
    trial.mended()
    await trial.steady()


async def revived(trial: Trial) -> None:
    """Two hours ahead: all sessions are over. Then back: they stay over."""
    load = trial.load
    await load.pause()
    trial.mark("fault")
    # An open WebSocket ends by the monotonic clock, and is another matter.
    for client in load.sockets:
        client.stop()
    streams = [client.session for client in load.sockets]
    old = [session for session in load.live if session not in streams]
    for session in old:
        session.state = State.ENDING  # by the clock: nothing is certain until asked
    load.live.clear()
    _set(trial, 2 * HOUR)
    for _ in range(10):
        await load.changes.create_by_admin()
    ended = 0
    for session in old:
        _, response = await load.visit(
            "expired", "GET", "/home/x", Expect.SESSION, session
        )
        if response is not None and response.status == 401:
            load.end(session, "its expiry")
            ended += 1
    load.resume()
    trial.require(ended == len(old), f"{len(old) - ended} sessions outlived their life")
    trial.notes.append(f"{ended} sessions expired")
    await trial.under_fault(0.3)
    _set(trial, 0)
    trial.mended()
    for session in old:
        await load.visit("expired", "GET", "/home/x", Expect.SESSION, session)
    await trial.under_fault(0.5)
    await trial.steady()


ROWS = (
    Row(
        name="clock-jumps",
        what="the clock jumps back and ahead by twenty minutes",
        site=adjustable,
        act=back_and_forth,
        kinds=ORDINARY,
        healthy=tuple(ORDINARY),
        pace=0.4,
        needs=("faketime",),
    ),
    Row(
        name="clock-revives",
        what="the clock jumps ahead past the end of sessions, and back",
        site=adjustable,
        act=revived,
        kinds=ORDINARY,
        pace=0.4,
        needs=("faketime",),
        shared=False,
    ),
)
