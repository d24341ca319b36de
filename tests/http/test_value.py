from gateway.http.value import value


@value
class Point:
    x: int
    y: int = 0


def test_a_value_is_slotted_and_compared_by_what_it_holds() -> None:
    assert Point(x=1) == Point(x=1, y=0)
    assert repr(Point(x=1)).endswith("Point(x=1, y=0)")
    assert not hasattr(Point(x=1), "__dict__")
