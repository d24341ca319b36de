"""A session's end ends what is open for it, and nothing else (law 6)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.streams import DueChecks, OpenStream, OpenStreams, recheck

REVOKED, EXPIRED = Reason.SESSION_REVOKED, Reason.SESSION_EXPIRED


def a_stream(key: str | None = "one") -> tuple[OpenStream, list[Reason]]:
    ends: list[Reason] = []
    return OpenStream(key=key, end=ends.append), ends


def opened(
    streams: OpenStreams, *keys: str | None
) -> tuple[list[OpenStream], list[list[Reason]]]:
    made = [a_stream(key) for key in keys]
    for stream, _ in made:
        streams.add(stream)
    return [stream for stream, _ in made], [ends for _, ends in made]


def test_the_end_of_a_session_ends_all_of_its_streams_and_no_other() -> None:
    streams = OpenStreams()
    _, ends = opened(streams, "one", "two", "one", None)

    count = streams.end("one", REVOKED)

    assert count == 2
    assert ends == [[REVOKED], [], [REVOKED], []]


def test_a_stream_that_opens_after_the_revocation_ends_at_once() -> None:
    """The request was let in before, and its upstream was slow."""
    streams = OpenStreams()
    streams.end("one", REVOKED)

    _, ends = opened(streams, "one", "two")

    assert ends == [[REVOKED], []]


def test_only_a_revocation_is_for_ever() -> None:
    streams = OpenStreams()
    streams.end("one", EXPIRED)

    _, ends = opened(streams, "one")

    assert ends == [[]]


def test_whether_a_session_was_revoked_meanwhile_can_be_asked() -> None:
    streams = OpenStreams()
    streams.end("one", REVOKED)
    streams.end("two", EXPIRED)

    found = [streams.was_revoked(key) for key in ("one", "two", "three", None)]

    assert found == [True, False, False, False]


def test_revocations_that_are_kept_in_mind_do_not_pile_up() -> None:
    streams = OpenStreams()
    for number in range(10_100):
        streams.end(str(number), REVOKED)

    assert len(streams._revoked) == 10_000
    _, ends = opened(streams, "0", "10099")
    assert ends == [[], [REVOKED]]


def test_a_stream_that_has_ended_is_forgotten() -> None:
    streams = OpenStreams()
    (first, second), ends = opened(streams, "one", "one")

    streams.remove(first)
    streams.remove(first)
    assert streams.sessions() == ("one",)
    streams.remove(second)

    assert streams.sessions() == ()
    assert streams.end("one", REVOKED) == 0
    assert ends == [[], []]


def test_a_stream_may_take_itself_away_while_it_ends() -> None:
    streams = OpenStreams()
    reported: list[Reason] = []

    def end(reason: Reason) -> None:
        reported.append(reason)
        streams.remove(stream)

    stream = OpenStream(key="one", end=end)
    streams.add(stream)
    opened(streams, "one")

    assert streams.end("one", REVOKED) == 2
    assert reported == [REVOKED]


def test_to_stop_ends_those_without_a_session_and_those_to_come() -> None:
    streams = OpenStreams()
    _, before = opened(streams, "one", None)

    streams.end_all(Reason.DRAINING)
    _, after = opened(streams, "two", None)

    assert before + after == [[Reason.DRAINING]] * 4


def asking(
    answers: Mapping[str, Reason | None],
) -> Callable[[str], Awaitable[Reason | None]]:
    async def ended(key: str) -> Reason | None:
        return answers.get(key)

    return ended


async def test_a_push_that_was_lost_is_made_up_for() -> None:
    streams = OpenStreams()
    _, ends = opened(streams, "revoked", "lives", "expired", None)

    await recheck(
        streams,
        asking({"revoked": REVOKED, "expired": EXPIRED}),
        streams.sessions(),
    )

    assert ends == [[REVOKED], [], [EXPIRED], []]


async def test_each_session_is_asked_for_once_and_a_hundred_at_a_time() -> None:
    streams = OpenStreams()
    opened(streams, *(str(number % 250) for number in range(500)))
    rounds: list[list[str]] = []
    turn = asyncio.Event()

    async def ended(key: str) -> Reason | None:
        nonlocal turn
        if turn.is_set() or not rounds:
            turn = asyncio.Event()
            rounds.append([])
            asyncio.get_running_loop().call_soon(turn.set)
        rounds[-1].append(key)
        await turn.wait()
        return None

    await recheck(streams, ended, streams.sessions())

    assert [len(keys) for keys in rounds] == [100, 100, 50]
    assert len({key for keys in rounds for key in keys}) == 250


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "end", "expire"]),
            st.sampled_from(["one", "two"]),
        ),
        max_size=20,
    )
)
def test_after_a_revocation_no_stream_of_the_session_is_left_untold(
    steps: list[tuple[str, str]],
) -> None:
    streams = OpenStreams()
    open_ones: list[tuple[OpenStream, list[Reason]]] = []
    revoked: set[str] = set()

    for step, key in steps:
        match step:
            case "add":
                stream, ends = a_stream(key)
                streams.add(stream)
                open_ones.append((stream, ends))
            case "remove":
                for stream, ends in [one for one in open_ones if one[0].key == key]:
                    streams.remove(stream)
                    open_ones.remove((stream, ends))
            case "end":
                streams.end(key, REVOKED)
                revoked.add(key)
            case "expire":
                streams.end(key, EXPIRED)
            case _:
                raise AssertionError(step)

        for stream, ends in open_ones:
            if stream.key in revoked:
                assert REVOKED in ends


@pytest.mark.parametrize("count", [0, 1, 100, 101])
async def test_any_number_of_streams_is_asked_for(count: int) -> None:
    streams = OpenStreams()
    _, ends = opened(streams, *(str(number) for number in range(count)))

    expired = {str(number): EXPIRED for number in range(count)}
    await recheck(streams, asking(expired), streams.sessions())

    assert ends == [[EXPIRED]] * count


@pytest.mark.parametrize(
    ("key", "started", "looked_up"),
    [
        pytest.param("jwt:a", 9.0, ["jwt:a"], id="its token may have ended meanwhile"),
        pytest.param("jwt:a", 11.0, [], id="its token was looked up after the end"),
        pytest.param("a", 9.0, [], id="a session, whose end has its key"),
        pytest.param(None, 9.0, [], id="no session"),
    ],
)
@pytest.mark.parametrize("reloaded", [False, True])
def test_a_stream_that_opens_after_the_end_of_some_token_is_looked_up_again(
    key: str | None, started: float, looked_up: list[str], reloaded: bool
) -> None:
    found: list[str] = []
    streams = OpenStreams(on_changed=found.append, on_stale=lambda: None)
    streams.active = "new" if reloaded else None
    streams.note_token_ends(10.0)

    streams.add(OpenStream(key=key, end=lambda _: None, started=started))

    assert found == looked_up


async def test_checks_on_request_are_bounded_and_repeated_until_they_succeed() -> None:
    streams, due = OpenStreams(), [str(number) for number in range(250)]
    _, ends = opened(streams, *due[:-1], "not due")
    waiting: set[str] = set()
    most, failed, done = 0, set[str](), asyncio.Event()
    streams.add(OpenStream(key=due[-1], end=lambda _: done.set()))

    async def ended(key: str) -> Reason | None:
        nonlocal most
        waiting.add(key)
        most = max(most, len(waiting))
        await asyncio.sleep(0)
        waiting.discard(key)
        if key not in failed and int(key) % 2:
            failed.add(key)
            raise StoreUnavailable("overloaded")
        return REVOKED

    checks = DueChecks(streams, ended)
    task = asyncio.ensure_future(checks.always())
    checks.soon([*due, "closed before"])
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert most == 100
    assert len(failed) == 125
    assert ends == [[REVOKED]] * 249 + [[]]
