"""A histogram that observes a whole array at once, so that no Python runs per event."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry


class BulkHistogram(Collector):
    """A histogram with one label.

    Parameters
    ----------
    name, documentation, label
        As Prometheus shows them.
    bounds
        Upper bounds of the buckets, ascending, without infinity.
    registry
        Where it is registered.

    Examples
    --------
    >>> registry = CollectorRegistry()
    >>> scores = BulkHistogram("score", "Scores.", "detector", (0.5, 1.0), registry)
    >>> scores.observe("tape", [0.2, 0.5, 0.7, 3.0, float("nan")])
    >>> registry.get_sample_value("score_bucket", {"detector": "tape", "le": "0.5"})
    2
    >>> registry.get_sample_value("score_count", {"detector": "tape"})
    4
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        label: str,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._family = (name, documentation, label)
        self._bounds = np.array(bounds, np.float64)
        self._bucket_labels = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._lock = threading.Lock()
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}
        registry.register(self)

    def observe(self, value: str, observed: ArrayLike) -> None:
        """Count numbers under a value of the label; those that are not finite are ignored."""
        numbers = np.atleast_1d(np.asarray(observed, np.float64))
        numbers = numbers[np.isfinite(numbers)]
        buckets = np.searchsorted(self._bounds, numbers, side="left")
        counts = np.bincount(buckets, minlength=len(self._bounds) + 1)
        with self._lock:
            if value not in self._counts:
                self._counts[value] = np.zeros(len(self._bounds) + 1, np.int64)
                self._sums[value] = 0.0
            self._counts[value] += counts
            self._sums[value] += float(numbers.sum())

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The family without samples, for registration."""
        name, documentation, label = self._family
        yield HistogramMetricFamily(name, documentation, labels=[label])

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family with its current values, for a scrape."""
        name, documentation, label = self._family
        family = HistogramMetricFamily(name, documentation, labels=[label])
        with self._lock:
            samples = [(value, counts.tolist(), self._sums[value]) for value, counts in self._counts.items()]
        for value, counts, total in samples:
            family.add_metric([value], list(zip(self._bucket_labels, accumulate(counts), strict=True)), total)
        yield family
