"""Counters and histograms of one process, optimized for counting.

`prometheus_client` looks up a label set and acquires a lock for each observation. Here
labels are looked up once per request, and the rest are additions to plain numbers in
one thread. The library is used only for a scrape (exposition.py).

Labels are bounded: route and upstream ids from the configuration, words of closed
sets, status codes. Never a user, a tenant or a path.
"""

from collections.abc import Iterable
from typing import Final

from gateway.observe import tally
from gateway.observe.exposition import render
from gateway.observe.histogram import Histogram
from gateway.observe.tally import Family, Labels, Numbers, Tally

_TOGETHER: Final = 512
"""Requests whose observations are counted together."""
_LAST_CODE: Final = 599


class RequestSeries:
    """The counter of requests with the same labels, and the histograms they share.

    Its holder counts without a look-up of labels; `upstream` is None without one.
    """

    __slots__ = ("count", "durations", "upstream")

    def __init__(self, durations: Histogram, upstream: Histogram | None) -> None:
        self.count = 0
        self.durations = durations
        self.upstream = upstream


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
        numbers = self._tally.numbers
        self._series: dict[tuple[str, str | None, str, str, int], RequestSeries] = {}
        self._histograms: dict[tuple[str, Labels], Histogram] = {}
        self._overhead = self._histogram(tally.OVERHEAD)
        self._lookups: dict[str, Histogram] = {}
        self._uncounted = 0
        self._tokens = numbers[tally.TOKENS.name]
        numbers[tally.BUILD.name][version, python] = 1
        for kind in ("timeout", "connection", "other"):
            numbers[tally.STORE_ERRORS.name][(kind,)] = 0
        numbers[tally.STORE_SWITCHES.name][()] = 0
        numbers[tally.ENDINGS_WAITING.name][()] = 0
        for cause in ("no_lease", "not_held"):
            numbers[tally.STORE_REFUSALS.name][(cause,)] = 0

    def series(
        self, route: str, upstream: str | None, decision: str, reason: str, code: int
    ) -> RequestSeries:
        """Return the series of these labels; `route` is "" if none matched."""
        key = (route, upstream, decision, reason, code)
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = RequestSeries(
                self._histogram(tally.DURATION, route),
                None if upstream is None else self._histogram(tally.UPSTREAM, upstream),
            )
        return found

    def observe(
        self,
        series: RequestSeries,
        duration: float,
        upstream: float = 0.0,
        lookup: float = 0.0,
        outcome: str = "",
    ) -> None:
        """Count one request of a series. Times are in seconds.

        Args:
            series: of its labels.
            duration: total.
            upstream: until the head of the response.
            lookup: of the session.
            outcome: of the look-up: valid, invalid or error; "" without one.
        """
        series.count += 1
        series.durations.add(duration)
        if series.upstream is not None:
            series.upstream.add(upstream)
        if outcome:
            lookups = self._lookups.get(outcome) or self._begin_lookups(outcome)
            lookups.add(lookup)
        overhead = duration - upstream - lookup
        self._overhead.add(max(0.0, overhead))
        self._uncounted += 1
        if self._uncounted >= _TOGETHER:
            self._count()

    def _begin_lookups(self, outcome: str) -> Histogram:
        found = self._lookups[outcome] = self._histogram(tally.LOOKUP, outcome)
        return found

    def _histogram(self, family: Family, *labels: str) -> Histogram:
        """Return the histogram of these labels, which counts into the tally."""
        key = (family.name, labels)
        found = self._histograms.get(key)
        if found is None:
            cells = [0.0] + [0] * (len(family.bounds) + 1)
            self._tally.histograms[family.name][labels] = cells
            found = self._histograms[key] = Histogram(family.bounds, cells)
        return found

    def _count(self) -> None:
        self._uncounted = 0
        for histogram in self._histograms.values():
            histogram.count()

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

    def token(self, profile: str, signed: bool) -> None:
        """Count a token sent upstream, newly signed or reused."""
        key = (profile, "signed" if signed else "reused")
        self._tokens[key] = self._tokens.get(key, 0) + 1

    def attempt(self, kind: str, outcome: str) -> None:
        """Count a failed attempt; `outcome` is failed or refused."""
        attempts = self._tally.numbers[tally.ATTEMPTS.name]
        attempts[kind, outcome] = attempts.get((kind, outcome), 0) + 1

    def renewal(self, provider: str, outcome: str) -> None:
        """Count a renewal of membership; changed, unchanged, ended or failed."""
        renewals = self._tally.numbers[tally.RENEWALS.name]
        renewals[provider, outcome] = renewals.get((provider, outcome), 0) + 1

    def authz_decision(self, mode: str, decision: str) -> None:
        """Count a decision for another proxy, by endpoint."""
        decisions = self._tally.numbers[tally.AUTHZ.name]
        decisions[mode, decision] = decisions.get((mode, decision), 0) + 1

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
        return render(total, accept)

    def _current(self) -> Tally:
        self._count()
        numbers = self._tally.numbers
        requests: Numbers = {}
        for (route, _, decision, reason, code), series in self._series.items():
            label = str(code) if code <= _LAST_CODE else "other"
            key = (route, decision, reason, label)
            requests[key] = requests.get(key, 0) + series.count
        numbers[tally.REQUESTS.name] = requests
        numbers[tally.IN_FLIGHT.name][()] = self.requests_in_flight
        numbers[tally.WEBSOCKETS.name][()] = self.websockets_open
        numbers[tally.CONNECTIONS.name][()] = self.connections_open
        numbers[tally.LOG_DROPPED.name][()] = self.log_lines_dropped
        copy = Tally()
        copy.add(self._tally)
        return copy
