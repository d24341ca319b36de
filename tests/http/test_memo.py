"""A memo computes once, forgets what is not used, and prints nothing."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.memo import GENERATION_BYTES, Generations, Memo


def counted(entries: int = 3, longest: int = 8) -> tuple[Memo[bytes, int], list[bytes]]:
    computed: list[bytes] = []

    def length(argument: bytes) -> int:
        computed.append(argument)
        return len(argument)

    return Memo(length, entries=entries, longest=longest), computed


@given(st.lists(st.binary(max_size=10), max_size=50))
def test_a_result_is_that_of_the_function_and_the_memory_is_bounded(
    arguments: list[bytes],
) -> None:
    memo, _ = counted()

    assert [memo[each] for each in arguments] == [len(each) for each in arguments]
    assert len(memo) <= 3
    assert len(memo._older) <= 3


def test_what_is_known_is_not_computed_again() -> None:
    memo, computed = counted()

    assert [memo[b"a"], memo[b"a"], memo[b"a"]] == [1, 1, 1]

    assert computed == [b"a"]


def test_what_is_used_survives_what_is_not() -> None:
    memo, computed = counted()

    for number in range(20):
        assert memo[b"used"] == 4
        assert memo[b"%d" % number]

    assert computed.count(b"used") == 1
    assert memo[b"0"] == 1
    assert computed.count(b"0") == 2


def test_a_result_of_none_is_kept_too() -> None:
    computed: list[bytes] = []
    memo: Memo[bytes, None] = Memo(computed.append, entries=1, longest=8)

    for argument in (b"a", b"b", b"a", b"b"):
        assert memo[argument] is None

    assert computed == [b"a", b"b"]


def test_a_long_argument_is_not_kept() -> None:
    memo, computed = counted()

    assert [memo[b"123456789"], memo[b"123456789"]] == [9, 9]

    assert len(memo) == 0
    assert len(computed) == 2


def test_the_bytes_of_all_arguments_together_are_bounded() -> None:
    memo, _ = counted(entries=10**6, longest=4096)

    for number in range(3 * GENERATION_BYTES // 4096):
        assert memo[b"%04096d" % number] == 4096
        assert sum(map(len, memo)) <= GENERATION_BYTES
        assert sum(map(len, memo._older)) <= GENERATION_BYTES

    assert len(memo._older) == GENERATION_BYTES // 4096


def test_what_is_used_again_counts_in_the_new_generation() -> None:
    memo, computed = counted(entries=10**6, longest=4096)

    for number in range(5 * GENERATION_BYTES // 4096):
        assert memo[b"used" * 1024] == 4096
        assert memo[b"%04096d" % number] == 4096
        assert sum(map(len, memo)) <= GENERATION_BYTES

    assert computed.count(b"used" * 1024) == 1


def test_what_is_in_either_generation_is_remembered() -> None:
    memo, computed = counted(entries=2)

    for argument in (b"a", b"b", b"c"):
        assert memo[argument] == 1

    assert [memo.remembers(each) for each in (b"a", b"c", b"d")] == [True, True, False]
    assert computed == [b"a", b"b", b"c"]


def test_the_contents_do_not_print() -> None:
    memo, _ = counted()

    assert memo[b"secret"]

    assert "secret" not in repr(memo) + str(memo) + f"{memo}"


# A dictionary of two generations


def kept_bytes(kept: Generations[int, bytes]) -> int:
    return sum(map(len, kept.values())) + sum(map(len, kept._older.values()))


def test_what_moves_to_the_new_generation_counts_there() -> None:
    """Each is used again before the next ones come, so that all of them move."""
    kept: Generations[int, bytes] = Generations(2048)
    size = 16 * 1024

    for number in range(4 * GENERATION_BYTES // size):
        for each in range(number):
            kept.find(each)
        kept.keep(number, bytes(size), size)

        assert kept_bytes(kept) <= 2 * GENERATION_BYTES


@given(
    st.lists(
        st.tuples(st.sampled_from(["keep", "find", "grow"]), st.integers(0, 6), st.integers(0, 5)),
        max_size=60,
    )
)  # fmt: skip
def test_the_count_is_that_of_what_is_kept(steps: list[tuple[str, int, int]]) -> None:
    kept: Generations[int, list[int]] = Generations(4, most=9)
    for what, key, size in steps:
        value = kept.find(key)
        if what == "keep":
            kept.keep(key, [size], size)
        elif what == "grow" and value is not None:
            value.append(size)
            kept.grow(key, value, size)

        assert kept._bytes == sum(map(sum, kept.values())) <= 9
        assert sum(map(sum, kept._older.values())) <= 9
        assert kept._sizes == {each: sum(sizes) for each, sizes in kept.items()}
        assert kept._older_sizes.keys() == kept._older.keys()
        assert max(len(kept), len(kept._older)) <= 4


def test_a_value_that_grows_in_the_older_generation_is_forgotten() -> None:
    kept: Generations[int, list[int]] = Generations(1, most=9)
    value = [1]
    kept.keep(1, value, 1)
    kept.keep(2, [1], 1)

    kept.grow(1, value, 20)

    assert kept.find(1) is None
    assert kept.find(2) == [1]


def test_what_is_larger_than_all_together_is_not_kept() -> None:
    kept: Generations[int, bytes] = Generations(4, most=9)
    kept.keep(1, bytes(9), 9)
    kept.keep(2, bytes(10), 10)

    assert (kept.find(1), kept.find(2)) == (bytes(9), None)


def test_what_is_retired_keeps_nothing() -> None:
    kept: Generations[int, bytes] = Generations(1)
    kept.keep(1, b"a", 1)
    kept.keep(2, b"b", 1)

    kept.retire()
    kept.keep(3, b"c")

    assert [kept.find(each) for each in (1, 2, 3)] == [None] * 3
    assert (len(kept), len(kept._older), kept._bytes) == (0, 0, 0)
