from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.observe.exposition import render, render_merged
from gateway.observe.tally import DURATION, IN_FLIGHT, REQUESTS, Tally


def counted() -> Tally:
    tally = Tally()
    tally.numbers[REQUESTS.name]["web", "allow", "public", "200"] = 3
    tally.numbers[IN_FLIGHT.name][()] = 2
    tally.histograms[DURATION.name][("web",)] = [0.5, 1, 2] + [0] * (
        len(DURATION.bounds) - 1
    )
    return tally


def sample(body: bytes, name: str, **labels: str) -> float:
    return next(
        sample.value
        for family in parse(body.decode())
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )


def test_buckets_count_what_is_in_the_ones_before() -> None:
    body, _ = render(counted(), "")
    first, second = (str(bound) for bound in DURATION.bounds[:2])
    name = f"{DURATION.name}_bucket"

    assert sample(body, name, route="web", le=first) == 1
    assert sample(body, name, route="web", le=second) == 3
    assert sample(body, name, route="web", le="+Inf") == 3
    assert sample(body, f"{DURATION.name}_sum", route="web") == 0.5


def test_several_processes_are_added() -> None:
    body, content_type = render_merged([counted().dump(), counted().dump()])

    labels = {"route": "web", "decision": "allow", "reason": "public", "code": "200"}
    assert content_type.startswith("text/plain")
    assert sample(body, REQUESTS.name, **labels) == 6
    assert sample(body, IN_FLIGHT.name) == 4
    assert sample(body, f"{DURATION.name}_count", route="web") == 6
