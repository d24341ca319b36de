"""A memo computes once, forgets what is not used, and prints nothing."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.memo import GENERATION_BYTES, Memo


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


def test_the_contents_do_not_print() -> None:
    memo, _ = counted()

    assert memo[b"secret"]

    assert "secret" not in repr(memo) + str(memo) + f"{memo}"
