"""What is reported of many kinds of requests, beside a direct implementation."""

import gc
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import orjson
from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.logs import configure
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.reporting.reporter import Reporter
from gateway.spine.principal import NO_PRINCIPAL, Principal
from tests.http.heads import head
from tests.observe.lines import Lines
from tests.observe.reference import DURATIONS, reference_line
from tests.server.reporting.contexts import ROUTE, TEXT, a_context, unread

HEADS = [
    head(("User-Agent", "Browser/1"), method=method, target=target, version=version)
    for method in ("GET", "POST", "M-SEARCH!#$%&'*+.^_`|~")
    for target in ("/", "/a%20b?token=1", "/\"'<>", "/" + "x" * 3000)
    for version in ((1, 0), (1, 1))
]
PEOPLE = [
    NO_PRINCIPAL,
    Principal(identity_id='ü"\\\u2028', session_id="ß"),
    Principal(identity_id="u_1", session_id="s_1", tenant_id="日本"),
]


def every_kind() -> Iterator[RequestContext]:
    """Requests that differ in all that a line and a counter show."""
    yield unread(status=400)
    for number, (verdict, request) in enumerate(product(Verdict, HEADS)):
        reasons, people = tuple(Reason), PEOPLE[number % len(PEOPLE)]
        yield a_context(
            received_head=request,
            verdict=verdict,
            reason=reasons[number % len(reasons)],
            status=(200, 204, 304, 403, 502, 999)[number % 6],
            route=(ROUTE, None)[number % 5 == 0],
            upstream=("web", None, 'a"b')[number % 3],
            upstream_time=0.001 * number,
            lookup_time=0.0001 * number,
            lookup_result=("", "valid", "invalid", "error")[number % 4],
            body_bytes=number,
            principal=people,
        )


def test_lines_and_counters_are_those_of_a_direct_implementation(
    tmp_path: Path,
) -> None:
    log = (tmp_path / "log").open("ab")
    output = configure(fmt="json", fd=log.fileno())
    reporter = Reporter(output)
    contexts = [*every_kind(), *every_kind()]
    for context in contexts:
        context.started = reporter.requests._system.ticks()
        reporter.requests.request_started()
        reporter.requests.request_ended(context)

    text, _ = reporter.process.exposition(TEXT)
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }
    requests, lookups, upstreams = Counter[Any](), Counter[str](), Counter[str]()
    for context in contexts:
        code = "other" if context.status > 599 else str(context.status)
        route = "" if context.route is None else context.route.id
        requests[route, context.verdict.value, context.reason.value, code] += 1
        lookups[context.lookup_result] += context.lookup_result != ""
        upstreams[context.upstream or ""] += context.upstream is not None

    counted = {
        tuple(dict(labels)[name] for name in ("route", "decision", "reason", "code")): n
        for (metric, labels), n in samples.items()
        if metric == "gateway_requests_total"
    }
    assert counted == requests
    for metric, label, expected in (
        ("gateway_session_lookup_duration_seconds", "outcome", lookups),
        ("gateway_upstream_request_duration_seconds", "upstream", upstreams),
    ):
        for value, number in expected.items():
            key = (f"{metric}_count", frozenset({(label, value)}))
            assert not number or samples[key] == number
    assert samples["gateway_overhead_duration_seconds_count", frozenset()] == len(
        contexts
    )
    assert samples["gateway_requests_in_flight", frozenset()] == 0
    output.sink.close()
    log.close()
    events = map(orjson.loads, (tmp_path / "log").read_bytes().splitlines())
    written = [one for one in events if one["event.dataset"] == "gateway.access"]
    for line in written:
        for name in DURATIONS:
            line.pop(name, None)
    assert written == [reference_line(context) for context in contexts]


def test_a_request_that_ended_leaves_the_collector_nothing(lines: Lines) -> None:
    reporter = Reporter(lines.output)
    reporter.requests.request_ended(a_context())
    contexts = [a_context() for _ in range(100)]
    gc.collect()
    gc.disable()
    try:
        for context in contexts:
            reporter.requests.request_ended(context)
        assert gc.collect() == 0
    finally:
        gc.enable()
    lines.raw()
