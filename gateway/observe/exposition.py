"""Metrics as Prometheus reads them: text, or OpenMetrics if the scraper accepts it."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.observe.tally import FAMILIES, Family, Kind, Tally, merged


def render(total: Tally, accept: str) -> tuple[bytes, str]:
    """Return the exposition of a tally, and its Content-Type.

    `accept` is the Accept value of the scraper.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_TallyCollector(total))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def render_merged(snapshots: Iterable[bytes], *, accept: str = "") -> tuple[bytes, str]:
    """Return the exposition of several snapshots, and its Content-Type.

    Raises:
        ValueError: one is not a snapshot.
    """
    return render(merged(snapshots), accept)


class _TallyCollector(Collector):
    def __init__(self, total: Tally) -> None:
        self._total = total

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield _exposed(family, self._total)


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
