"""Counters and histograms for Prometheus, optimized for counting.

`prometheus_client` looks up a label set and acquires a lock for each observation. Here
an observation is a few operations on dictionaries and lists in one thread; the library
is used only for a scrape.

Labels are bounded: route and upstream ids from the configuration, words of closed
sets, status codes. Never a user, a tenant or a path.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.observe import tally
from gateway.observe.tally import FAMILIES, Family, Histograms, Kind, Labels, Tally

_DURATION_BOUNDS: Final = tally.DURATION.bounds
_OVERHEAD_BOUNDS: Final = tally.OVERHEAD.bounds
_LAST_CODE: Final = 599


class Metrics:
    """The metrics of one process; they survive a reload.

    Gauges are attributes that the caller updates; `log_lines_dropped` is set from the
    sink before a scrape.
    """

    def __init__(self, *, version: str, python: str = "") -> None:
        self.requests_in_flight = 0
        self.websockets_open = 0
        self.connections_open = 0
        self.log_lines_dropped = 0
        self._tally = Tally()
        numbers, histograms = self._tally.numbers, self._tally.histograms
        self._requests: dict[tuple[str, str, str, int], int] = {}
        self._durations: dict[str, list[float]] = {}
        self._overhead = histograms[tally.OVERHEAD.name][()] = _new_histogram(
            tally.OVERHEAD
        )
        self._upstreams = histograms[tally.UPSTREAM.name]
        self._lookups = histograms[tally.LOOKUP.name]
        self._tokens = numbers[tally.TOKENS.name]
        numbers[tally.BUILD.name][version, python] = 1
        for kind in ("timeout", "connection", "other"):
            numbers[tally.STORE_ERRORS.name][(kind,)] = 0
        numbers[tally.STORE_SWITCHES.name][()] = 0
        numbers[tally.ENDINGS_WAITING.name][()] = 0
        for cause in ("no_lease", "not_held"):
            numbers[tally.STORE_REFUSALS.name][(cause,)] = 0

    def observe(
        self,
        route: str,
        decision: str,
        reason: str,
        code: int,
        duration: float,
        overhead: float,
    ) -> None:
        """Count one request: total seconds, and seconds spent in the gateway.

        `route` is "" if none matched.
        """
        requests, key = self._requests, (route, decision, reason, code)
        try:
            requests[key] += 1
            histogram = self._durations[route]
        except KeyError:
            requests.setdefault(key, 1)
            histogram = self._durations.setdefault(
                route, _new_histogram(tally.DURATION)
            )
        histogram[0] += duration
        histogram[1 + bisect_left(_DURATION_BOUNDS, duration)] += 1
        histogram = self._overhead
        histogram[0] += overhead
        histogram[1 + bisect_left(_OVERHEAD_BOUNDS, overhead)] += 1

    def upstream(self, upstream: str, seconds: float) -> None:
        """Observe the seconds from a request to the head of the response."""
        _observe(self._upstreams, tally.UPSTREAM, (upstream,), seconds)

    def session_lookup(self, outcome: str, seconds: float) -> None:
        """Observe a look-up; `outcome` is valid, invalid or error."""
        _observe(self._lookups, tally.LOOKUP, (outcome,), seconds)

    def store_error(self, kind: str) -> None:
        """Count a failed store call by the class name of its exception."""
        word = "other"
        for known in ("timeout", "connection"):
            if known in kind.lower():
                word = known
                break
        self._tally.numbers[tally.STORE_ERRORS.name][(word,)] += 1

    def store_switched(self) -> None:
        """Count a change of the Redis server in use."""
        self._tally.numbers[tally.STORE_SWITCHES.name][()] += 1

    def store_refused(self, cause: str) -> None:
        """Count a refused store call; `cause` is no_lease or not_held."""
        self._tally.numbers[tally.STORE_REFUSALS.name][(cause,)] += 1

    def endings_waiting(self, count: int) -> None:
        """Set the number of unconfirmed revocations."""
        self._tally.numbers[tally.ENDINGS_WAITING.name][()] = count

    def token(self, profile: str, *, signed: bool) -> None:
        """Count a token sent upstream, newly signed or reused."""
        key = (profile, "signed" if signed else "reused")
        self._tokens[key] = self._tokens.get(key, 0) + 1

    def attempt(self, kind: str, outcome: str) -> None:
        """Count a failed attempt; `outcome` is failed or refused."""
        attempts = self._tally.numbers[tally.ATTEMPTS.name]
        attempts[kind, outcome] = attempts.get((kind, outcome), 0) + 1

    def target_ejected(self, upstream: str, cause: str) -> None:
        """Count an ejected target by cause."""
        ejections = self._tally.numbers[tally.EJECTIONS.name]
        key = (upstream, cause)
        ejections[key] = ejections.get(key, 0) + 1
        ejected = self._tally.numbers[tally.EJECTED.name]
        ejected[(upstream,)] = ejected.get((upstream,), 0) + 1

    def target_returned(self, upstream: str) -> None:
        """Count a readmitted target."""
        ejected = self._tally.numbers[tally.EJECTED.name]
        ejected[(upstream,)] = max(0, ejected.get((upstream,), 0) - 1)

    def config_loaded(self, now: float) -> None:
        """Record a successful load at `now`, in seconds since the epoch."""
        self._tally.numbers[tally.RELOAD_OK.name][()] = 1
        self._tally.numbers[tally.RELOAD_TIME.name][()] = now
        # Its targets start without ejections.
        self._tally.numbers[tally.EJECTED.name].clear()

    def config_refused(self) -> None:
        """Record a failed reload."""
        self._tally.numbers[tally.RELOAD_OK.name][()] = 0

    def snapshot(self) -> bytes:
        """Return all values serialized, for a process that merges several."""
        return self._current().dump()

    def render(
        self, others: Iterable[bytes] = (), *, accept: str = ""
    ) -> tuple[bytes, str]:
        """Return the exposition and its Content-Type.

        Args:
            others: snapshots of other processes, to be merged.
            accept: the Accept value of the scraper, which may request OpenMetrics.
        """
        total = self._current()
        total.add(tally.merged(others))
        return _render(total, accept)

    def _current(self) -> Tally:
        numbers = self._tally.numbers
        numbers[tally.REQUESTS.name] = {
            (route, decision, reason, str(code) if code <= _LAST_CODE else "other"): n
            for (route, decision, reason, code), n in self._requests.items()
        }
        self._tally.histograms[tally.DURATION.name] = {
            (route,): histogram for route, histogram in self._durations.items()
        }
        numbers[tally.IN_FLIGHT.name][()] = self.requests_in_flight
        numbers[tally.WEBSOCKETS.name][()] = self.websockets_open
        numbers[tally.CONNECTIONS.name][()] = self.connections_open
        numbers[tally.LOG_DROPPED.name][()] = self.log_lines_dropped
        copy = Tally()
        copy.add(self._tally)
        return copy


def retain_counters(snapshots: Iterable[bytes]) -> bytes:
    """Return the sum of the snapshots of exited processes, without gauges.

    If a counter decreased, Prometheus would assume a restart and compute wrong rates.

    Raises:
        ValueError: one is not a snapshot.
    """
    left = tally.merged(snapshots)
    left.forget_gauges()
    return left.dump()


def render_merged(snapshots: Iterable[bytes], *, accept: str = "") -> tuple[bytes, str]:
    """Return the exposition of several snapshots, and its Content-Type.

    Raises:
        ValueError: one is not a snapshot.
    """
    return _render(tally.merged(snapshots), accept)


class _TallyCollector(Collector):
    def __init__(self, total: Tally) -> None:
        self._total = total

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield _exposed(family, self._total)


def _render(total: Tally, accept: str) -> tuple[bytes, str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_TallyCollector(total))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _exposed(family: Family, total: Tally) -> Metric:
    name, labels = family.name, family.labels
    match family.kind:
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, family.help, labels=labels)
            bounds = [*map(str, family.bounds), "+Inf"]
            for key, (seconds, *counts) in total.histograms[name].items():
                buckets = list(zip(bounds, accumulate(counts), strict=True))
                histogram.add_metric(key, buckets, seconds)
            return histogram
        case Kind.COUNTER:
            counter = CounterMetricFamily(name, family.help, labels=labels)
            for key, value in total.numbers[name].items():
                counter.add_metric(key, value)
            return counter
        case Kind.GAUGE:
            gauge = GaugeMetricFamily(name, family.help, labels=labels)
            for key, value in total.numbers[name].items():
                gauge.add_metric(key, value)
            return gauge


def _new_histogram(family: Family) -> list[float]:
    return [0.0] + [0] * (len(family.bounds) + 1)


def _observe(
    histograms: Histograms, family: Family, labels: Labels, value: float
) -> None:
    histogram = histograms.get(labels)
    if histogram is None:
        histogram = histograms[labels] = _new_histogram(family)
    histogram[0] += value
    histogram[1 + bisect_left(family.bounds, value)] += 1
