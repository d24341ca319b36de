"""The oracle: it knows what each request should have got, and counts what was wrong.

A session's true state is what its client was answered. It is live from the answer
to its sign-in, and ended from the answer to its sign-out. Between the sending of
a sign-out and its answer nothing is known, so both outcomes are right.

| count | meaning |
| --- | --- |
| wrong allow | an ended or unknown session was served, another identity was, or a stream outlived its session |
| wrong deny | a live session got 401, 403 or a redirect, or its cookie was cleared |
| lost | no complete response came, or a 2xx that the upstream never saw |
| sent twice | the upstream saw one POST twice |
| damaged | a body or a response was not the one that was sent |
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tests.faults.wire import Failure

GRACE = 1.0
"""Seconds that a stream may outlive the answer to its session's sign-out."""
_DENIALS = frozenset({302, 303, 401, 403, 404})
_UNAVAILABLE = frozenset({502, 503, 504})


class State(StrEnum):
    LIVE = "live"
    ENDING = "ending"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class TrackedSession:
    """A session as its client knows it."""

    identity: str
    cookie: str = field(repr=False)
    id: str | None = None
    state: State = State.LIVE
    ended_at: float | None = None
    ended_by: str = ""
    """The kind of the visit whose response said that it is over."""


class Expect(StrEnum):
    """What the state of the session means for a request."""

    SERVED = "served"
    """It is served whatever the session is; only a live one is passed on."""
    SESSION = "session"
    """It is served for a live session, and refused for any other."""
    CHANGE = "change"
    """A sign-in or sign-out: its caller reads the answer."""


@dataclass(slots=True, eq=False)
class Visit:
    """One request: what it was, what came back, and what the upstream saw of it."""

    id: str
    kind: str
    method: str
    expect: Expect
    session: TrackedSession | None
    unknown: bool
    """It carries a session token that was never issued."""
    digest: str | None
    started: float
    state: State | None = None
    """State of the session at the start."""
    ended: float = 0.0
    status: int | None = None
    failure: Failure | None = None
    raced: bool = False
    """A kept connection closed before a byte of a response came."""
    cleared: bool = False
    intact: bool = True
    seen: list["Arrival"] = field(default_factory=list)

    @property
    def known_live(self) -> bool:
        session = self.session
        return (
            session is not None
            and not self.unknown
            and self.state is State.LIVE
            and session.state is State.LIVE
        )

    @property
    def cut_with_session(self) -> bool:
        """Whether a response broke off and its session ended: its streams end too."""
        return (
            self.failure is Failure.TRUNCATED
            and self.session is not None
            and self.session.state is not State.LIVE
        )

    @property
    def right(self) -> bool:
        """Whether the response is the one of a system without faults."""
        if self.status is None:
            return self.cut_with_session
        if self.expect is Expect.SESSION and (
            self.unknown or self.state is not State.LIVE
        ):
            return self.status == 401 or self.state is State.ENDING
        return 200 <= self.status < 400 or not (
            self.known_live or self.expect is Expect.SERVED
        )


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as the upstream saw it."""

    identity: str | None
    digest: str | None
    at: float


@dataclass(slots=True)
class Findings:
    """What was counted; each wrong thing with a sentence."""

    visits: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unavailable: int = 0
    raced: int = 0
    retried: int = 0
    wrong_allows: list[str] = field(default_factory=list)
    wrong_denies: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """No connection was taken: nothing was begun, so nothing can be half done."""
    truncated: list[str] = field(default_factory=list)
    sent_twice: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """500 and other statuses that no row may see."""
    streams_cut: list[str] = field(default_factory=list)


class Oracle:
    """Judges visits as they end, and keeps no more of them than it needs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.findings = Findings()
        self.begun = clock()
        self.last_wrong: dict[str, float] = {}
        """When the last request of a kind that was not right ended."""
        self._clock = clock
        self._open: dict[str, Visit] = {}
        self._forgotten: set[str] = set()

    def start(
        self,
        id: str,  # noqa: A002 - the request's id
        kind: str,
        method: str,
        expect: Expect,
        session: TrackedSession | None,
        *,
        unknown: bool = False,
        digest: str | None = None,
    ) -> Visit:
        visit = Visit(
            id, kind, method, expect, session, unknown, digest, self._clock()
        )  # fmt: skip
        if session is not None:
            visit.state = session.state
        self._open[id] = visit
        return visit

    def arrived(self, id: str, identity: str | None, digest: str | None) -> None:  # noqa: A002
        """Note a request that came to the upstream whole."""
        arrival = Arrival(identity, digest, self._clock())
        if (visit := self._open.get(id)) is not None:
            visit.seen.append(arrival)
        elif id not in self._forgotten:
            self.findings.sent_twice.append(f"{id} came again after its response")

    def settle(self, visit: Visit) -> None:
        """Judge a visit that has ended.

        One without a response stays open: its request may still arrive.
        """
        visit.ended = self._clock()
        if not visit.right:
            self.last_wrong[visit.kind] = visit.ended
        if visit.status is not None:
            del self._open[visit.id]
            self._judge(visit)

    def forget(self, visit: Visit) -> None:
        """Judge a visit no more: its client left, and the request may still arrive."""
        self._open.pop(visit.id, None)
        self._forgotten.add(visit.id)

    def close(self) -> Findings:
        """Judge what got no response, and return all findings."""
        for visit in self._open.values():
            self._judge(visit)
        self._open.clear()
        return self.findings

    def stream_outlived(self, session: TrackedSession, seconds: float) -> None:
        self.findings.wrong_allows.append(
            f"a WebSocket of {session.identity} outlived its session by {seconds:.1f} s"
        )

    def _judge(self, visit: Visit) -> None:
        found = self.findings
        found.visits += 1
        name = self._name(visit)
        self._judge_delivery(visit, name)
        self._judge_identity(visit, name)
        if visit.status is None:
            self._judge_loss(visit, name)
            return
        found.statuses[visit.status] += 1
        if visit.status in _UNAVAILABLE:
            found.unavailable += 1
        elif visit.status not in _DENIALS and not 200 <= visit.status < 400:
            found.errors.append(name)
        if not visit.intact:
            found.damaged.append(name)
        if visit.known_live and (
            visit.cleared
            or (visit.expect is Expect.SESSION and visit.status in _DENIALS)
        ):
            how = ", cookie cleared" if visit.cleared else ""
            found.wrong_denies.append(f"{name}{how}")

    def _judge_loss(self, visit: Visit, name: str) -> None:
        if visit.raced and not visit.seen:
            # RFC 9112, 9.3.1: a kept connection may close as a request is sent.
            self.findings.raced += 1
        elif visit.failure is Failure.REFUSED:
            self.findings.refused.append(name)
        elif visit.cut_with_session:
            return
        elif visit.failure is Failure.TRUNCATED:
            self.findings.truncated.append(name)
        else:
            self.findings.lost.append(name)

    def _judge_delivery(self, visit: Visit, name: str) -> None:
        found = self.findings
        if visit.method == "POST" and len(visit.seen) > 1:
            found.sent_twice.append(name)
        served = visit.status is not None and 200 <= visit.status < 300
        if served and visit.expect is not Expect.CHANGE and not visit.seen:
            found.lost.append(f"{name}: the upstream never saw it")
        if visit.digest is not None and any(
            arrival.digest not in (None, visit.digest) for arrival in visit.seen
        ):
            found.damaged.append(f"{name}: the upstream got another body")

    def _judge_identity(self, visit: Visit, name: str) -> None:
        """No ended or unknown session reaches an upstream, and none as another."""
        found = self.findings
        over = visit.unknown or visit.state is State.ENDED
        mine = visit.session.identity if visit.session is not None else None
        for arrival in visit.seen:
            if over and (
                visit.expect is Expect.SESSION or arrival.identity is not None
            ):
                found.wrong_allows.append(f"{name}: came to the upstream")
            elif arrival.identity not in (None, mine):
                found.wrong_allows.append(f"{name}: went as {arrival.identity}")
            elif (
                visit.expect is Expect.SESSION
                and arrival.identity is None
                and mine is not None
            ):
                found.wrong_allows.append(f"{name}: went without an identity")
        if (
            over
            and visit.expect is Expect.SESSION
            and visit.status is not None
            and 200 <= visit.status < 300
            and not visit.seen
        ):
            found.wrong_allows.append(name)

    def _name(self, visit: Visit) -> str:
        outcome = visit.status if visit.status is not None else visit.failure
        since = visit.started - self.begun
        state = str(visit.state or "-")
        if visit.session is not None and visit.session.ended_by:
            state += f" by {visit.session.ended_by}"
        return f"{visit.kind} {visit.id} at {since:.2f} s ({state}): {outcome}"
