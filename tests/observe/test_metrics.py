import math
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.observe.exposition import render_merged
from gateway.observe.metrics import Metrics
from gateway.observe.tally import FAMILIES, Family, Kind, merged, retain_counters
from gateway.reasons import Reason


def metrics() -> Metrics:
    made = Metrics(version="1.2.3", python="3.11.7")
    signed_in = made.series("web:/**", "web", "allow", Reason.SIGNED_IN, 200)
    made.observe(signed_in, 0.012, upstream=0.011, lookup=0.0003, outcome="valid")
    made.observe(signed_in, 0.020, upstream=0.011)
    made.observe(made.series("", None, "deny", Reason.NO_ROUTE, 404), 0.0004)
    made.store_error("timeout")
    made.token("database", signed=True)
    made.token("database", signed=False)
    made.config_loaded(1790000000.0)
    made.requests_in_flight = 2
    made.websockets_open = 1
    made.connections_open = 5
    made.log_lines_dropped = 7
    return made


# It has no annotations.
parse_openmetrics: Callable[[str], Iterable[Metric]] = (
    openmetrics.text_string_to_metric_families
)
Samples: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(body: bytes) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


def value(body: bytes, name: str, **labels: str) -> float:
    return samples(body)[name, frozenset(labels.items())]


@pytest.mark.parametrize("garbage", [b"", b"[]", b"{}x", b'{"a": 1}', b'{"a": []}'])
def test_what_is_no_snapshot_is_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError):
        merged([metrics().snapshot(), garbage])


@pytest.mark.parametrize("code", [600, 999, 12345])
def test_codes_out_of_range_share_one_label(code: int) -> None:
    made = Metrics(version="1")
    made.observe(made.series("r", None, "allow", "public", code), 0.1)

    labels = {"route": "r", "decision": "allow", "reason": "public", "code": "other"}
    assert value(made.render()[0], "gateway_requests_total", **labels) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("TimeoutError", "timeout"),
        ("ConnectionError", "connection"),
        ("ResponseError", "other"),
        ("whatever a store says", "other"),
    ],
)
def test_store_errors_have_three_kinds(name: str, kind: str) -> None:
    made = Metrics(version="1")
    made.store_error(name)

    assert value(made.render()[0], "gateway_store_errors_total", kind=kind) == 1


def test_odd_label_values_are_escaped() -> None:
    made = Metrics(version="1")
    made.observe(made.series("r", 'we"b\n\\', "allow", "public", 200), 0.1)

    name = "gateway_upstream_request_duration_seconds_count"
    assert value(made.render()[0], name, upstream='we"b\n\\') == 1


def test_everything_counted_is_exposed() -> None:
    body, content_type = metrics().render()
    signed_in = {
        "route": "web:/**",
        "decision": "allow",
        "reason": "signed_in",
        "code": "200",
    }

    assert content_type.startswith("text/plain; version=")
    assert value(body, "gateway_requests_total", **signed_in) == 2
    duration = "gateway_request_duration_seconds"
    assert value(body, f"{duration}_count", route="web:/**") == 2
    assert value(body, f"{duration}_sum", route="web:/**") == pytest.approx(0.032)
    assert value(body, f"{duration}_bucket", route="web:/**", le="0.01") == 0
    assert value(body, f"{duration}_bucket", route="web:/**", le="0.025") == 2
    assert value(body, f"{duration}_bucket", route="web:/**", le="+Inf") == 2
    assert value(body, "gateway_overhead_duration_seconds_count") == 3
    assert value(body, "gateway_store_errors_total", kind="timeout") == 1
    assert value(body, "gateway_store_errors_total", kind="connection") == 0
    token = {"profile": "database", "outcome": "reused"}
    assert value(body, "gateway_tokens_total", **token) == 1
    assert value(body, "gateway_requests_in_flight") == 2
    assert value(body, "gateway_websockets_open") == 1
    assert value(body, "gateway_connections_open") == 5
    assert value(body, "gateway_log_lines_dropped_total") == 7
    assert value(body, "gateway_config_last_reload_successful") == 1
    reload_time = "gateway_config_last_reload_success_timestamp_seconds"
    assert value(body, reload_time) == 1790000000
    assert value(body, "gateway_build_info", version="1.2.3", python="3.11.7") == 1


def test_a_bound_is_in_its_bucket() -> None:
    """`le` is less or equal."""
    made = Metrics(version="1")
    made.observe(made.series("r", None, "allow", "public", 200), 0.005)

    name = "gateway_request_duration_seconds_bucket"
    assert value(made.render()[0], name, route="r", le="0.005") == 1
    assert value(made.render()[0], name, route="r", le="0.0025") == 0


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_follow_the_conventions(family: Family) -> None:
    """One prefix, base units, and a suffix that tells the type."""
    assert re.fullmatch(r"gateway(_[a-z]+)+", family.name)
    assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
    assert family.name.endswith("_seconds") or family.kind is not Kind.HISTOGRAM
    assert not re.search(r"_(ms|milliseconds|minutes|kb)\b", family.name)
    assert family.help.endswith(".")
    assert not {"user", "tenant", "path", "session", "client"} & set(family.labels)
    assert list(family.bounds) == sorted(set(family.bounds))


def test_every_family_is_exposed() -> None:
    exposed = {family.name for family in parse(metrics().render()[0].decode())}

    names = {family.name.removesuffix("_total") for family in FAMILIES}
    assert names <= {name.removesuffix("_total") for name in exposed}


def test_openmetrics_is_served_to_who_asks() -> None:
    body, content_type = metrics().render(
        accept="application/openmetrics-text; version=1.0.0"
    )

    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert list(parse_openmetrics(body.decode()))


def test_a_refused_configuration_shows() -> None:
    made = metrics()
    made.config_refused()

    assert value(made.render()[0], "gateway_config_last_reload_successful") == 0


def test_several_processes_are_served_as_one() -> None:
    first, second = metrics(), metrics()
    second.config_refused()
    body, _ = first.render([second.snapshot()])

    assert value(body, "gateway_overhead_duration_seconds_count") == 6
    assert value(body, "gateway_requests_in_flight") == 4
    assert value(body, "gateway_config_last_reload_successful") == 0
    assert value(body, "gateway_build_info", version="1.2.3", python="3.11.7") == 1
    assert gateway_part(body) == gateway_part(
        render_merged([first.snapshot(), second.snapshot()])[0]
    )


def gateway_part(body: bytes) -> Samples:
    return {k: v for k, v in samples(body).items() if k[0].startswith("gateway_")}


def test_rendering_counts_nothing_twice() -> None:
    made = metrics()
    made.render([metrics().snapshot()])

    assert gateway_part(made.render()[0]) == gateway_part(metrics().render()[0])


def test_a_dead_process_leaves_its_counts_and_not_its_gauges() -> None:
    """Else the sum would shrink, and rates would jump."""
    left = retain_counters([metrics().snapshot()])
    body, _ = Metrics(version="1.2.3", python="3.11.7").render([left])

    assert value(body, "gateway_overhead_duration_seconds_count") == 3
    assert value(body, "gateway_requests_in_flight") == 0
    assert value(body, "gateway_connections_open") == 0


Labels: TypeAlias = tuple[str, str | None, str, str, int]
Observation: TypeAlias = tuple[Labels, float, float, float]

observations = st.lists(
    st.tuples(
        st.tuples(
            st.sampled_from(["a", "b", ""]),
            st.sampled_from(["web", "api", None]),
            st.sampled_from(["allow", "deny"]),
            st.sampled_from(["public", "not_admin"]),
            st.sampled_from([200, 403]),
        ),
        st.floats(min_value=0, max_value=100),
        st.floats(min_value=0, max_value=2),
        st.floats(min_value=0, max_value=2),
    ),
    max_size=30,
)


@given(observations, observations)
def test_a_merge_is_what_one_process_would_have_counted(
    first: list[Observation], second: list[Observation]
) -> None:
    one, two, both = (Metrics(version="1") for _ in range(3))
    for seen, into in ((first, one), (second, two), (first + second, both)):
        for observation in seen:
            labels, duration, upstream, lookup = observation
            series = into.series(*labels)
            into.observe(series, duration, upstream=upstream, lookup=lookup)

    left = orjson.loads(merged([one.snapshot(), two.snapshot()]).dump())
    right = orjson.loads(both.snapshot())
    assert flat(left).keys() == flat(right).keys()
    for key, number in flat(left).items():
        assert math.isclose(number, flat(right)[key], rel_tol=1e-9, abs_tol=1e-9), key


def flat(snapshot: dict[str, list[list[Any]]]) -> dict[tuple[Any, ...], float]:
    rows: dict[tuple[Any, ...], float] = {}
    for name, entries in snapshot.items():
        for *labels, histogram in entries:
            numbers = histogram if isinstance(histogram, list) else [histogram]
            for place, number in enumerate(numbers):
                rows[name, *labels, place] = number
    return rows
