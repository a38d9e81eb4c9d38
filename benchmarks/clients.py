"""Row d: the whole service, against clients that only read, or read and decode."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.contest import Taken
from benchmarks.figures import Figure

RUNS = ("service", "poll", "confluent")


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """Both ratios and rates."""
    del bench
    return [
        taken.ratio("service", "poll", "tapewatch run / kafka-python's poll", least=3.0),
        taken.rate("poll", "kafka-python's poll, nothing decoded"),
        taken.ratio("service", "confluent", "tapewatch run / confluent-kafka with msgspec", least=1.0),
        taken.rate("confluent", "confluent-kafka, msgspec into columns, nothing else"),
    ]
