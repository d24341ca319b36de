"""What every session store keeps, whatever it stores in."""

import asyncio
from dataclasses import replace

import pytest

from gateway.sessions.authenticate import LifetimePolicy, touch
from gateway.sessions.identity_change import (
    ChangeCount,
    IdentityChange,
    change_sessions,
)
from gateway.sessions.provider_link import LogoutMark, ProviderLink, ProviderLogout
from gateway.sessions.record import Corrupt, Identity, Session
from gateway.sessions.record_json import MAX_RECORD_BYTES, serialise
from gateway.sessions.store import access_tokens, in_browsers
from tests.contract.conftest import Subject
from tests.servers import PATIENCE
from tests.sessions.samples import DAY, NOW, a_key, a_session, the_session

KEY = a_key()


def of(identity_id: str, **changes: str) -> Session:
    return a_session(identity=Identity(id=identity_id), **changes)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="not-utf-8"),
        pytest.param(b"not json", id="not-json"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"{}", id="no-members"),
        pytest.param(b'{"id": "\\ud800"}', id="lone-surrogate"),
        pytest.param(b"[" * 60_000, id="deep"),
        pytest.param(b" " * (MAX_RECORD_BYTES + 1), id="huge"),
    ],
)
async def test_bytes_that_are_no_session_are_corrupt(
    subject: Subject, raw: bytes
) -> None:
    await subject.put(KEY, raw)

    assert isinstance(await subject.store.load(KEY), Corrupt)
    assert await subject.store.end(KEY, NOW) is None
    assert await subject.store.replace(KEY, a_session(), a_session()) is False


async def test_one_object_stands_for_one_state_of_a_session(subject: Subject) -> None:
    """What was derived from it is kept by identity: plans of requests, say."""
    store = subject.store
    await store.create(KEY, a_session(), NOW)
    first = the_session(await store.load(KEY))
    again = the_session(await store.load(KEY))
    seen: list[Session] = [first]

    async def changed() -> bool:
        now = await store.load(KEY)
        fresh = not any(now is before for before in seen)
        seen.append(the_session(now))
        return fresh and await store.load(KEY) is now

    assert again is first
    later = replace(first, last_seen_at=NOW + 90)
    assert await store.replace(KEY, first, later)
    assert await changed()
    await subject.put(KEY, serialise(replace(later, aal="aal2")))
    assert await changed()
    await subject.put(KEY, serialise(later))
    assert await changed()
    await store.end(KEY, NOW + 100)
    ended = await store.load(KEY)
    assert not any(ended is before for before in seen)


async def test_look_ups_of_one_turn_have_results_of_their_own(
    subject: Subject,
) -> None:
    store = subject.store
    await store.create(KEY, a_session(), NOW)
    loaded = await store.load(KEY)

    async with asyncio.timeout(PATIENCE):
        again, anonymous = await asyncio.gather(
            store.load(KEY), store.load(a_key("nobody"))
        )

    assert again is loaded
    assert anonymous is None


async def test_an_ended_session_is_not_resurrected_by_a_late_write(
    subject: Subject,
) -> None:
    await subject.store.create(KEY, a_session(), NOW)
    seen = the_session(await subject.store.load(KEY))
    await subject.store.end(KEY, NOW + 1)

    late = replace(seen, last_seen_at=NOW + 2)

    assert await subject.store.replace(KEY, seen, late) is False
    assert the_session(await subject.store.load(KEY)).active is False


async def test_a_deleted_session_is_not_resurrected(subject: Subject) -> None:
    absent = a_session()

    assert await subject.store.replace(KEY, absent, absent) is False
    assert await subject.store.load(KEY) is None


async def test_an_end_wins_over_writes_that_race_with_it(subject: Subject) -> None:
    session = a_session()
    await subject.store.create(KEY, session, NOW)

    async def keep_touching() -> None:
        for second in range(60, 600, 60):
            seen = the_session(await subject.store.load(KEY))
            await subject.store.replace(
                KEY, seen, replace(seen, last_seen_at=NOW + second)
            )

    _, ended = await asyncio.gather(
        keep_touching(), subject.store.end(KEY, NOW + 5), return_exceptions=True
    )

    assert ended is not None
    assert the_session(await subject.store.load(KEY)).active is False


async def test_a_taken_key_is_not_overwritten(subject: Subject) -> None:
    await subject.store.create(KEY, a_session(), NOW)

    with pytest.raises(ValueError, match="taken"):
        await subject.store.create(KEY, of("u_eve"), NOW)

    assert the_session(await subject.store.load(KEY)).identity.id == "u_ada"


async def test_a_record_too_large_to_be_read_again_is_not_written(
    subject: Subject,
) -> None:
    traits = {"note": "x" * MAX_RECORD_BYTES}
    session = a_session(identity=Identity(id="u_ada", traits=traits))

    with pytest.raises(ValueError, match="larger"):
        await subject.store.create(KEY, session, NOW)

    assert await subject.store.load(KEY) is None


async def test_a_record_without_room_for_its_end_still_ends(subject: Subject) -> None:
    spare = MAX_RECORD_BYTES - len(serialise(a_session(extra={"x": ""})))
    session = a_session(extra={"x": "x" * spare})
    await subject.store.create(KEY, session, NOW)

    assert await subject.store.end(KEY, NOW) is not None

    assert await subject.store.load(KEY) is None


async def test_what_is_created_is_loaded(subject: Subject) -> None:
    session = a_session()

    ended = await subject.store.create(KEY, session, NOW)

    assert ended == []
    assert await subject.store.load(KEY) == session
    assert await subject.store.load(a_key("other")) is None


async def test_a_record_written_by_another_program_is_loaded(subject: Subject) -> None:
    await subject.put(KEY, serialise(a_session()))

    assert await subject.store.load(KEY) == a_session()


async def test_a_change_by_another_program_shows_in_the_next_load(
    subject: Subject,
) -> None:
    await subject.store.create(KEY, a_session(), NOW)
    await subject.store.load(KEY)

    await subject.put(KEY, serialise(a_session(active=False)))

    assert the_session(await subject.store.load(KEY)).active is False


async def test_an_end_shows_in_the_next_load_and_says_when_and_why(
    subject: Subject,
) -> None:
    await subject.store.create(KEY, a_session(), NOW)
    await subject.store.load(KEY)

    ended = await subject.store.end(KEY, NOW + 1, "signed_out")

    assert ended == await subject.store.load(KEY)
    ended = the_session(ended)
    assert (ended.active, ended.ended_at, ended.ended_reason) == (
        False,
        NOW + 1,
        "signed_out",
    )


async def test_what_has_ended_cannot_end_again(subject: Subject) -> None:
    await subject.store.create(KEY, a_session(), NOW)
    await subject.store.end(KEY, NOW)

    assert await subject.store.end(KEY, NOW) is None
    assert await subject.store.end(a_key("unknown"), NOW) is None


async def test_replace_writes_what_is_still_as_it_was(subject: Subject) -> None:
    await subject.store.create(KEY, a_session(), NOW)
    seen = the_session(await subject.store.load(KEY))
    policy = LifetimePolicy(lifespan=DAY, extend_within=DAY / 4)
    touched = the_session(touch(seen, NOW + DAY - 60, policy))

    assert await subject.store.replace(KEY, seen, touched) is True

    assert await subject.store.load(KEY) == touched
    assert touched.expires_at == NOW + 2 * DAY - 60
    live = await subject.store.list_for("u_ada", NOW + DAY + 60)
    assert live == [(KEY, touched)]


async def test_replace_works_for_one_who_has_not_loaded(subject: Subject) -> None:
    await subject.store.create(KEY, a_session(), NOW)

    done = await subject.limited.replace(
        KEY, a_session(), a_session(last_seen_at=NOW + 60)
    )

    assert done is True
    assert the_session(await subject.store.load(KEY)).last_seen_at == NOW + 60


async def test_sessions_are_listed_by_identity_newest_first(subject: Subject) -> None:
    for number in range(3):
        session = a_session(id=f"s{number}", authenticated_at=NOW + number)
        await subject.store.create(a_key(f"k{number}"), session, NOW)
    await subject.store.create(a_key("eve"), of("u_eve", id="s9"), NOW)
    await subject.store.end(a_key("k1"), NOW)

    live = await subject.store.list_for("u_ada", NOW)

    assert [session.id for _, session in live] == ["s2", "s0"]
    assert [key for key, _ in live] == [a_key("k2"), a_key("k0")]
    assert await subject.store.list_for("u_ada", NOW + DAY) == []
    assert await subject.store.list_for("nobody", NOW) == []


@pytest.mark.parametrize("identity_id", ["a:sessions", "*", "é", "a b", "%3A", "{x}"])
async def test_identities_with_odd_names_are_kept_apart(
    subject: Subject, identity_id: str
) -> None:
    await subject.store.create(KEY, of(identity_id), NOW)
    await subject.store.create(a_key("a"), of("a", id="s2"), NOW)

    assert [k for k, _ in await subject.store.list_for(identity_id, NOW)] == [KEY]
    assert [k for k, _ in await subject.store.list_for("a", NOW)] == [a_key("a")]


async def test_all_but_one_end(subject: Subject) -> None:
    for number in range(3):
        session = a_session(id=f"s{number}")
        await subject.store.create(a_key(f"k{number}"), session, NOW)
    await subject.store.create(a_key("eve"), of("u_eve", id="s9"), NOW)

    assert await subject.store.end_all("u_ada", NOW, a_key("k1")) == 2

    live = await subject.store.list_for("u_ada", NOW)
    assert [key for key, _ in live] == [a_key("k1")]
    assert await subject.store.end_all("u_ada", NOW, None) == 1
    assert len(await subject.store.list_for("u_eve", NOW)) == 1


async def test_what_has_only_expired_ends_too_and_is_not_counted(
    subject: Subject,
) -> None:
    """By the clock of another process, or by a clock that is set back, it lives."""
    session = a_session(expires_at=NOW + 60)
    await subject.store.create(KEY, session, NOW)

    assert await subject.store.end_all("u_ada", NOW + 61, None) == 0

    found = await subject.store.load(KEY)
    assert isinstance(found, Session)
    assert not found.active


async def test_the_oldest_end_when_there_are_too_many(subject: Subject) -> None:
    for number in range(3):
        session = a_session(id=f"s{number}", authenticated_at=NOW + number)
        assert (
            await subject.limited.create(a_key(f"k{number}"), session, NOW + number)
            == []
        )

    newest = a_session(id="s3", authenticated_at=NOW + 3)
    ended = await subject.limited.create(a_key("k3"), newest, NOW + 3)

    assert ended == [a_key("k0")]
    first = the_session(await subject.store.load(a_key("k0")))
    assert (first.active, first.ended_reason) == (False, "max_per_identity")
    live = await subject.store.list_for("u_ada", NOW + 3)
    assert [session.id for _, session in live] == ["s3", "s2", "s1"]


async def test_the_new_session_never_ends_for_the_limit(subject: Subject) -> None:
    for number in range(6):
        session = a_session(id=f"s{number}")
        await subject.limited.create(a_key(f"k{number}"), session, NOW)
        assert the_session(await subject.store.load(a_key(f"k{number}"))).active

    assert len(await subject.store.list_for("u_ada", NOW)) == 3


async def test_a_session_is_found_by_its_public_id(subject: Subject) -> None:
    session = a_session(id="odd id:*")
    await subject.store.create(KEY, session, NOW)

    assert await subject.store.find("odd id:*") == (KEY, session)
    assert await subject.store.find("odd") is None
    await subject.store.end(KEY, NOW)
    assert (
        the_session((await subject.store.find("odd id:*") or ("", None))[1]).active
        is False
    )


async def test_watchers_are_called_once_for_each_end_with_its_reason(
    subject: Subject,
) -> None:
    listening, received, second = asyncio.Event(), [], asyncio.Event()

    def on_ended(key: str, reason: str) -> None:
        received.append((key, reason))
        if len(received) == 2:
            second.set()

    subject.store.watch(on_ended, listening.set)
    await asyncio.wait_for(listening.wait(), PATIENCE)
    await subject.store.create(KEY, a_session(), NOW)
    await subject.store.create(a_key("two"), a_session(id="s2"), NOW)
    await subject.store.end(KEY, NOW, "signed_out")
    await subject.store.end(KEY, NOW)
    await subject.store.end_all("u_ada", NOW, None)
    await asyncio.wait_for(second.wait(), PATIENCE)

    assert received == [(KEY, "signed_out"), (a_key("two"), "revoked")]


async def test_it_answers_that_it_is_there(subject: Subject) -> None:
    await subject.store.ping()


async def test_an_amended_session_is_published_and_keeps_its_times(
    subject: Subject,
) -> None:
    listening, received = asyncio.Event(), asyncio.Queue[str]()
    subject.store.watch(lambda _key, _why: None, listening.set, received.put_nowait)
    await asyncio.wait_for(listening.wait(), PATIENCE)
    await subject.store.create(KEY, a_session(), NOW)
    seen = the_session(await subject.store.load(KEY))
    amended = replace(seen, tenants={}, active_tenant_id=None)

    assert await subject.store.amend(KEY, seen, amended) is True

    assert await asyncio.wait_for(received.get(), PATIENCE) == KEY
    assert await subject.store.load(KEY) == amended
    assert await subject.store.amend(KEY, amended, amended) is True
    assert await subject.store.amend(KEY, seen, amended) is False
    assert [session for _, session in await subject.store.list_for("u_ada", NOW)] == [
        amended
    ]


async def test_an_end_and_a_change_at_once_leave_it_ended(subject: Subject) -> None:
    for number in range(8):
        key = a_key(f"k{number}")
        await subject.store.create(key, a_session(id=f"s{number}"), NOW)
    change = IdentityChange(roles=("editor",))

    async def touch_and_switch() -> None:
        for number in range(8):
            key = a_key(f"k{number}")
            seen = the_session(await subject.store.load(key))
            later = replace(seen, last_seen_at=NOW + 60, active_tenant_id="t_beta")
            if not await subject.store.replace(key, seen, later):
                seen = the_session(await subject.store.load(key))
                later = replace(seen, last_seen_at=NOW + 60, active_tenant_id="t_beta")
                await subject.store.replace(key, seen, later)

    async with asyncio.TaskGroup() as group:
        group.create_task(subject.store.end(a_key("k3"), NOW + 1))
        group.create_task(touch_and_switch())
        await change_sessions(
            subject.store, "u_ada", change, now=NOW, count=ChangeCount()
        )

    live = dict(await subject.store.list_for("u_ada", NOW))
    assert set(live) == {a_key(f"k{number}") for number in (0, 1, 2, 4, 5, 6, 7)}
    assert {session.identity.roles for session in live.values()} == {("editor",)}
    assert the_session(await subject.store.load(a_key("k3"))).active is False


@pytest.mark.parametrize("identity_id", ["a:b", "*", "ü/%2F", "{x}", "..", "i" * 255])
async def test_an_identity_with_any_id_is_changed(
    subject: Subject, identity_id: str
) -> None:
    session = a_session(identity=Identity(id=identity_id, roles=("admin",)))
    await subject.store.create(KEY, session, NOW)
    count = ChangeCount()

    await change_sessions(
        subject.store,
        identity_id,
        IdentityChange(roles=(), remove_tenant="t_acme"),
        now=NOW,
        count=count,
    )

    found = the_session(await subject.store.load(KEY))
    assert (count.changed, found.identity.roles) == (1, ())
    assert list(found.tenants) == ["t_beta"]


# Access tokens


def a_token(name: str = "ci", **changes: object) -> Session:
    return a_session(id=f"id-{name}", token_name=name, **changes)


async def test_access_tokens_are_listed_for_all_and_for_one(subject: Subject) -> None:
    store = subject.store
    other = Identity(id="u_other")
    await store.create(KEY, a_session(), NOW)
    await store.create(a_key("a"), a_token("a"), NOW)
    await store.create(a_key("b"), a_token("b", identity=other), NOW)
    await store.create(a_key("c"), a_token("c"), NOW)
    await store.end(a_key("c"), NOW)
    await store.create(a_key("d"), a_token("d", expires_at=NOW + 1), NOW)

    everybody = await store.list_tokens(NOW + 2)
    one = await store.list_for("u_ada", NOW + 2)

    assert {session.id for _, session in everybody} == {"id-a", "id-b"}
    assert {session.id for _, session in access_tokens(one)} == {"id-a"}
    assert {session.id for _, session in in_browsers(one)} == {a_session().id}


async def test_a_token_neither_counts_for_the_limit_nor_ends_by_it(
    subject: Subject,
) -> None:
    limited = subject.limited
    for number in range(4):
        await limited.create(a_key(f"t{number}"), a_token(f"t{number}"), NOW)
    ended = [
        await limited.create(a_key(f"s{number}"), a_session(id=f"s{number}"), NOW)
        for number in range(4)
    ]

    assert [len(each) for each in ended] == [0, 0, 0, 1]
    assert len(await limited.list_tokens(NOW)) == 4


@pytest.mark.parametrize(("tokens", "left"), [(True, set()), (False, {"id-a"})])
async def test_the_end_of_all_sessions_may_leave_the_tokens(
    subject: Subject, tokens: bool, left: set[str]
) -> None:
    store = subject.store
    await store.create(KEY, a_session(), NOW)
    await store.create(a_key("a"), a_token("a"), NOW)

    count = await store.end_all("u_ada", NOW, None, tokens=tokens)

    assert count == 2 - len(left)
    assert {session.id for _, session in await store.list_for("u_ada", NOW)} == left


# --- sessions of an OpenID Connect provider

ISSUER = "https://id.example/realms/a:b"


def linked(subject_: str, sid: str | None = None, **facts: object) -> Session:
    provider = {"name": "acme", "issuer": ISSUER, "subject": subject_, "issued_at": NOW}
    if sid is not None:
        provider["session_id"] = sid
    return replace(a_session(), extra={"provider": provider | facts})


def ended(subject_: str | None, sid: str | None, at: float = NOW) -> ProviderLogout:
    return ProviderLogout(issuer=ISSUER, subject=subject_, session_id=sid, issued_at=at)


LINKED = {
    a_key("1"): linked("s-1", "sid-1"),
    a_key("2"): linked("s-1", "sid-2"),
    a_key("3"): linked("s-1"),
    a_key("4"): linked("s-2", "sid-4"),
    a_key("5"): linked("s-1", "sid-1", issuer="https://other.example"),
    a_key("6"): a_session(),
    a_key("7"): linked("s-1", "sid-1", issued_at=NOW + 1),
    a_key("8"): replace(a_session(), extra={"provider": {"issuer": 7, "subject": []}}),
    a_key("9"): replace(a_session(), extra={"provider": "acme"}),
}


@pytest.mark.parametrize(
    ("logout", "found"),
    [
        (ended(None, "sid-1"), {1}),
        (ended(None, "sid-9"), set()),
        (ended(None, "s-1"), set()),
        (ended("s-1", None), {1, 2, 3}),
        (ended("s-1", "sid-1"), {1, 3}),
        (ended("s-2", "sid-1"), set()),
        (ended("s-1", None, NOW + 1), {1, 2, 3, 7}),
        (ended("s-1", None, NOW - 1), set()),
        (ended("s-1:x", "sid:1"), set()),
    ],
)
async def test_sessions_are_found_by_what_the_provider_knows(
    subject: Subject, logout: ProviderLogout, found: set[int]
) -> None:
    for key, session in LINKED.items():
        await subject.store.create(key, session, NOW)

    listed = await subject.store.logouts.list_linked(logout)

    assert {key for key, _ in listed} == {a_key(str(number)) for number in found}


async def test_an_ended_session_is_not_found(subject: Subject) -> None:
    await subject.store.create(KEY, linked("s-1", "sid-1"), NOW)
    await subject.store.end(KEY, NOW)

    assert await subject.store.logouts.list_linked(ended("s-1", None)) == []


@pytest.mark.parametrize(
    ("logout", "signing_in", "marked"),
    [
        (ended(None, "sid-1"), ("s-1", "sid-1"), True),
        (ended(None, "sid-1"), ("s-1", "sid-2"), False),
        (ended(None, "sid-1"), ("s-1", None), False),
        (ended("s-1", "sid-1"), ("s-1", None), True),
        (ended("s-1", "sid-1"), ("s-1", "sid-2"), False),
        (ended("s-1", None), ("s-1", "sid-2"), True),
        (ended("s-1", None), ("s-2", "sid-2"), False),
    ],
)
async def test_a_logout_is_kept_for_sign_ins_in_progress(
    subject: Subject,
    logout: ProviderLogout,
    signing_in: tuple[str, str | None],
    marked: bool,
) -> None:
    mark = LogoutMark(issued_at=NOW, received_at=NOW + 2)
    await subject.store.logouts.mark_logout(logout, mark)
    link = ProviderLink(issuer=ISSUER, subject=signing_in[0], session_id=signing_in[1])

    assert await subject.store.logouts.find_marks(link) == ([mark] if marked else [])
    elsewhere = replace(link, issuer="https://other.example")
    assert await subject.store.logouts.find_marks(elsewhere) == []


async def test_a_logout_token_is_used_once(subject: Subject) -> None:
    logouts = subject.store.logouts
    assert not await logouts.was_used(ISSUER, "j:1")

    noted = await asyncio.gather(
        *(logouts.note_use(ISSUER, "j:1", 60) for _ in range(5))
    )

    assert sorted(noted) == [False] * 4 + [True]
    assert await logouts.was_used(ISSUER, "j:1")
    assert not await logouts.was_used("https://other.example", "j:1")
