"""What Prometheus asks for. A request adds to plain numbers; they become samples only when somebody looks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper ends, in seconds: a row takes a tenth of a millisecond, a thousand rows take twenty."""

UNDECLARED = "(undeclared)"
"""Stands for every column that the contract does not know: a caller must not be able to make series."""


class Metrics(Collector):
    """Counts of one process since its start. Changed in one thread only."""

    def __init__(
        self,
        *,
        labels: Iterable[str],
        columns: Iterable[str],
        features: Iterable[str],
        categories: Iterable[str],
        info: Mapping[str, str],
    ) -> None:
        # From nought on: Prometheus sees no increase in a series that begins with its first event.
        self.requests: Counter[tuple[str, int]] = Counter({("/predict", status): 0 for status in (200, 400, 500)})
        self.predictions: Counter[str] = Counter(dict.fromkeys(labels, 0))
        self.unknown: Counter[str] = Counter(dict.fromkeys(categories, 0))
        self.missing: Counter[str] = Counter(dict.fromkeys(features, 0))
        self.refused: Counter[str] = Counter(dict.fromkeys([*columns, UNDECLARED], 0))
        self.feedback: Counter[str] = Counter({"true": 0, "false": 0})
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self.counters: dict[str, tuple[str, Callable[[], float]]] = {}
        """Numbers that others keep, by name: what they are, and how to get them."""
        self._seconds: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self._info = dict(info)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer and how long it took."""
        self.requests[path, status] += 1
        counts = self._seconds.get(path)
        if counts is None:
            counts = self._seconds[path] = [0] * (len(BUCKETS) + 1)
            self._sums[path] = 0.0
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[path] += seconds

    def refuse(self, cells: Iterable[tuple[int, str | None]]) -> None:
        """Count refused rows by column; a row once for each of its columns, and once for all undeclared ones."""
        for _, column in {(row, column if column and column in self.refused else UNDECLARED) for row, column in cells}:
            self.refused[column] += 1

    def render(self) -> bytes:
        """All samples, as Prometheus reads them."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The samples as they are now."""
        yield self._info_metric()
        yield _counter("predictions", "Predictions by label.", ("label",), self.predictions)
        yield _counter("unknown_categories", "Labels that training never saw.", ("column",), self.unknown)
        yield _counter("missing_values", "Missing values in served rows.", ("column",), self.missing)
        yield _counter("refused_rows", "Rows with a value that breaks the contract.", ("column",), self.refused)
        requests = {(path, str(status)): count for (path, status), count in self.requests.copy().items()}
        yield _counter("requests", "Answers by path and status.", ("path", "status"), requests)
        yield self._durations()
        about = "True outcomes that callers told, by whether their requests belong to the share that is logged."
        yield _counter("feedback", about, ("kept",), self.feedback)
        for name, (about, get) in self.counters.items():
            yield CounterMetricFamily(f"lockstep_{name}", about, value=get())
        for name, (about, get) in self.gauges.items():
            yield GaugeMetricFamily(f"lockstep_{name}", about, value=get())

    def _info_metric(self) -> Metric:
        metric = GaugeMetricFamily("lockstep_info", "Which model is served.", labels=list(self._info))
        metric.add_metric(list(self._info.values()), 1)
        return metric

    def _durations(self) -> Metric:
        metric = HistogramMetricFamily(
            "lockstep_request_seconds", "From a request's head to its answer.", labels=["path"]
        )
        for path, counts in self._seconds.items():
            total, buckets = 0, []
            for end, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                buckets.append((end, total))
            metric.add_metric([path], buckets, self._sums[path])
        return metric


def _counter(name: str, about: str, labels: tuple[str, ...], counts: Mapping[Any, int]) -> Metric:
    metric = CounterMetricFamily(f"lockstep_{name}", about, labels=labels)
    for key, count in counts.items():
        metric.add_metric(list(key) if isinstance(key, tuple) else [str(key)], count)
    return metric
