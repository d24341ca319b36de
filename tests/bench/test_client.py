import pytest

from tests.bench.client import Destination, Load, read_result, script

TO = Destination(port=1, path="/app", cookies=("one=1", 'two="2"'))


def test_every_request_has_twenty_fields() -> None:
    """Host is wrk's own, and Cookie differs."""
    found = script(TO, Load())

    assert found.count('["') == 19


def test_a_cookie_with_quotes_stays_a_lua_string() -> None:
    assert '{"one=1", "two=\\"2\\""}' in script(TO, Load())


def test_only_a_new_connection_for_each_request_is_closed() -> None:
    assert '["Connection"]="close"' in script(TO, Load(new_connections=True))
    assert "Connection" not in script(TO, Load())


def test_large_bodies_are_kept_for_few_sessions() -> None:
    many = Destination(port=1, path="/", cookies=[f"c={n}" for n in range(1000)])

    assert "c=999" in script(many, Load(body_bytes=100))
    assert "c=20" not in script(many, Load(body_bytes=1 << 20))


def test_only_failures_that_happened_are_named() -> None:
    printed = (
        "Running 1s test\n"
        'RESULT{"requests":9,"seconds":3.0,"p50":1.0,"p99":2.0,'
        '"failures":{"connect":0,"read":0,"write":0,"status":4,"timeout":0}}\n'
    )

    found = read_result(printed)

    assert (found.per_second, found.failures) == (3.0, {"status": 4})


@pytest.mark.parametrize(
    "printed",
    [
        "unable to connect to 127.0.0.1:1 Connection refused",
        'RESULT{"requests":0,"seconds":1.0,"p50":0,"p99":0,"failures":{}}',
    ],
)
def test_no_answer_is_no_measurement(printed: str) -> None:
    with pytest.raises(RuntimeError, match="wrk measured nothing"):
        read_result(printed)
