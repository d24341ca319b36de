from gateway.http import fields
from gateway.http.headers import line_of
from gateway.http.refusal import BadRequest


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    for number in range(10_000):
        found = fields.sort_fields([(b"x-invented-%d" % number, b"")])
        assert not isinstance(found, BadRequest)
    found = fields.sort_fields([(b"x" * 100, b"")])

    assert not isinstance(found, BadRequest)
    assert len(found.kept) == 1
    assert len(fields.KINDS) <= 2048


def test_repeated_fields_are_joined_and_named() -> None:
    found = fields.sort_fields(
        [(b"Accept", b" a "), (b"ACCEPT", b"b\t"), (b"Cookie", b"c"), (b"X", b"d")]
    )

    assert not isinstance(found, BadRequest)
    assert found.values == {"accept": "a, b"}
    assert found.repeated == {"accept"}
    assert found.cookies == (b"c",)
    assert [line.name for line in found.kept] == [b"Accept", b"ACCEPT", b"X"]


def test_another_spelling_of_a_name_that_is_read_is_not_read() -> None:
    found = fields.sort_fields([(b"Content_Length", b"5"), (b"Host.", b"b")])

    assert not isinstance(found, BadRequest)
    assert (found.values, found.kept) == ({}, (line_of(b"Host.", b"b"),))
