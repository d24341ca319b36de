"""The metric families, and the plain data of their values.

A tally maps the name of a family and a tuple of label values to a number, or for a
histogram to a list: the sum, then the number of observations per bucket.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

import orjson

Labels = tuple[str, ...]
Numbers = dict[Labels, float]
Histograms = dict[Labels, list[float]]


class Kind(StrEnum):
    """The Prometheus metric types in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """How the values of several processes are merged."""

    SUM = "sum"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, help, labels and, for a histogram, bucket bounds."""

    name: str
    help: str
    kind: Kind
    labels: Labels = ()
    across: Across = Across.SUM
    bounds: tuple[float, ...] = ()


# The buckets that OpenTelemetry's HTTP conventions and prometheus_client share, and
# three below for what is decided without an upstream.
SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
)  # fmt: skip
FINE_SECONDS: Final = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0,
)  # fmt: skip

REQUESTS: Final = Family(
    "gateway_requests_total",
    "Requests handled, by route, decision, reason and status code.",
    Kind.COUNTER,
    ("route", "decision", "reason", "code"),
)
DURATION: Final = Family(
    "gateway_request_duration_seconds",
    "Time from the first byte of a request to the last byte of its response.",
    Kind.HISTOGRAM,
    ("route",),
    bounds=SECONDS,
)
OVERHEAD: Final = Family(
    "gateway_overhead_duration_seconds",
    "Processing time in the gateway, excluding upstream time and body transfer.",
    Kind.HISTOGRAM,
    bounds=FINE_SECONDS,
)
UPSTREAM: Final = Family(
    "gateway_upstream_request_duration_seconds",
    "Time from sending a request to an upstream to the head of its response.",
    Kind.HISTOGRAM,
    ("upstream",),
    bounds=SECONDS,
)
EJECTIONS: Final = Family(
    "gateway_upstream_ejections_total",
    "Ejections of upstream targets, by cause.",
    Kind.COUNTER,
    ("upstream", "cause"),
)
EJECTED: Final = Family(
    "gateway_upstream_targets_ejected",
    "Upstream targets that are ejected now.",
    Kind.GAUGE,
    ("upstream",),
)
LOOKUP: Final = Family(
    "gateway_session_lookup_duration_seconds",
    "Duration of session look-ups, by outcome.",
    Kind.HISTOGRAM,
    ("outcome",),
    bounds=FINE_SECONDS,
)
STORE_ERRORS: Final = Family(
    "gateway_store_errors_total",
    "Session store calls that failed.",
    Kind.COUNTER,
    ("kind",),
)
STORE_SWITCHES: Final = Family(
    "gateway_store_switches_total",
    "Switches to another Redis server.",
    Kind.COUNTER,
)
STORE_REFUSALS: Final = Family(
    "gateway_store_refusals_total",
    "Store calls refused because no Redis server was reliable, by cause.",
    Kind.COUNTER,
    ("cause",),
)
ENDINGS_WAITING: Final = Family(
    "gateway_session_endings_waiting",
    "Revocations not yet confirmed by every required Redis server.",
    Kind.GAUGE,
)
TOKENS: Final = Family(
    "gateway_tokens_total",
    "Tokens sent upstream, newly signed or reused.",
    Kind.COUNTER,
    ("profile", "outcome"),
)
ATTEMPTS: Final = Family(
    "gateway_failed_attempts_total",
    "Failed attempts to guess a session or to sign in, and attempts refused for it.",
    Kind.COUNTER,
    ("kind", "outcome"),
)
RENEWALS: Final = Family(
    "gateway_membership_renewals_total",
    "Renewals of roles and tenants of running sessions at their provider.",
    Kind.COUNTER,
    ("provider", "outcome"),
)
AUTHZ: Final = Family(
    "gateway_authz_decisions_total",
    "Decisions for front proxies, by endpoint.",
    Kind.COUNTER,
    ("mode", "decision"),
)
LOG_DROPPED: Final = Family(
    "gateway_log_lines_dropped_total",
    "Log lines lost because the reader of standard output was stuck or gone.",
    Kind.COUNTER,
)
IN_FLIGHT: Final = Family(
    "gateway_requests_in_flight", "Requests being answered now.", Kind.GAUGE
)
WEBSOCKETS: Final = Family(
    "gateway_websockets_open", "WebSocket tunnels open now.", Kind.GAUGE
)
CONNECTIONS: Final = Family(
    "gateway_connections_open", "Client connections open now.", Kind.GAUGE
)
RELOAD_OK: Final = Family(
    "gateway_config_last_reload_successful",
    "Whether the last configuration reload succeeded.",
    Kind.GAUGE,
    across=Across.MIN,
)
RELOAD_TIME: Final = Family(
    "gateway_config_last_reload_success_timestamp_seconds",
    "Time of the last successful configuration load.",
    Kind.GAUGE,
    across=Across.MIN,
)
BUILD: Final = Family(
    "gateway_build_info",
    "Version of the gateway; always 1.",
    Kind.GAUGE,
    ("version", "python"),
    across=Across.MIN,
)
FAMILIES: Final = (
    REQUESTS, DURATION, OVERHEAD, UPSTREAM, EJECTIONS, EJECTED, LOOKUP, STORE_ERRORS,
    STORE_SWITCHES, STORE_REFUSALS, ENDINGS_WAITING, TOKENS, ATTEMPTS, RENEWALS, AUTHZ,
    LOG_DROPPED, IN_FLIGHT, WEBSOCKETS, CONNECTIONS, RELOAD_OK, RELOAD_TIME, BUILD,
)  # fmt: skip


class Tally:
    """The values of all families: plain dictionaries that the owner updates."""

    def __init__(self) -> None:
        self.numbers: dict[str, Numbers] = {
            family.name: {} for family in FAMILIES if family.kind is not Kind.HISTOGRAM
        }
        self.histograms: dict[str, Histograms] = {
            family.name: {} for family in FAMILIES if family.kind is Kind.HISTOGRAM
        }

    def add(self, other: "Tally") -> None:
        """Merge the values of another process."""
        for family in FAMILIES:
            if family.kind is Kind.HISTOGRAM:
                mine = self.histograms[family.name]
                for labels, histogram in other.histograms[family.name].items():
                    own = mine.get(labels, [0.0] * len(histogram))
                    mine[labels] = [a + b for a, b in zip(own, histogram, strict=True)]
                continue
            numbers = self.numbers[family.name]
            for labels, value in other.numbers[family.name].items():
                match family.across:
                    case Across.SUM:
                        numbers[labels] = numbers.get(labels, 0) + value
                    case Across.MIN:
                        numbers[labels] = min(numbers.get(labels, value), value)

    def forget_gauges(self) -> None:
        """Remove gauges, to retain the counters of an exited process."""
        for family in FAMILIES:
            if family.kind is Kind.GAUGE:
                self.numbers[family.name].clear()

    def dump(self) -> bytes:
        """Return the values serialized; `load` is the inverse."""
        both: dict[str, Numbers | Histograms] = {**self.numbers, **self.histograms}
        rows = {name: [[*key, val] for key, val in both[name].items()] for name in both}
        return orjson.dumps(rows)


def load(snapshot: bytes) -> Tally:
    """Return the tally that `dump` of the same version serialized.

    Raises:
        ValueError: it is not a snapshot.
    """
    tally = Tally()
    try:
        for name, rows in orjson.loads(snapshot).items():
            known = tally.numbers if name in tally.numbers else tally.histograms
            into = cast("dict[Labels, Any]", known[name])
            for *labels, value in rows:
                into[tuple(labels)] = value
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("this is not a metrics snapshot") from error
    return tally


def merged(snapshots: Iterable[bytes]) -> Tally:
    """Return the sum of the snapshots of several processes."""
    total = Tally()
    for snapshot in snapshots:
        total.add(load(snapshot))
    return total


def retain_counters(snapshots: Iterable[bytes]) -> bytes:
    """Return the sum of the snapshots of exited processes, without gauges.

    If a counter decreased, Prometheus would assume a restart and compute wrong rates.

    Raises:
        ValueError: one is not a snapshot.
    """
    left = merged(snapshots)
    left.forget_gauges()
    return left.dump()
