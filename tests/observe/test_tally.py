import pytest

from gateway.observe.tally import OVERHEAD, RELOAD_OK, REQUESTS, Tally, load, merged

KEY = ("web:/**", "allow", "public", "200")


def counted() -> Tally:
    tally = Tally()
    tally.numbers[REQUESTS.name][KEY] = 3
    tally.numbers[RELOAD_OK.name][()] = 1
    tally.histograms[OVERHEAD.name][()] = [0.5] + [1] * (len(OVERHEAD.bounds) + 1)
    return tally


@pytest.mark.parametrize(
    "snapshot", [b"\xff", b"null", b'{"gateway_requests_total": 1}', b'{"x": []}']
)
def test_what_dump_did_not_write_is_refused(snapshot: bytes) -> None:
    with pytest.raises(ValueError):
        load(snapshot)


def test_load_reads_what_dump_wrote() -> None:
    again = load(counted().dump())

    assert again.numbers == counted().numbers
    assert again.histograms == counted().histograms


def test_a_snapshot_with_other_buckets_is_refused() -> None:
    """It is of another version."""
    other = counted()
    other.histograms[OVERHEAD.name][()] = [0.5, 1]

    with pytest.raises(ValueError):
        merged([counted().dump(), other.dump()])


def test_adding_leaves_the_other_as_it_was() -> None:
    one, other = counted(), counted()
    one.add(other)
    one.add(other)

    assert one.numbers[REQUESTS.name][KEY] == 9
    assert one.numbers[RELOAD_OK.name][()] == 1
    assert other.histograms == counted().histograms
