"""Row c: the whole service on a real broker through kafka-python, against Full from memory."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.contest import Taken
from benchmarks.figures import Figure

RUNS = ("full, made", "service")


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """The ratio, and the rate from the first record to the last."""
    del bench
    return [
        taken.ratio("service", "full, made", "tapewatch run / Full from memory", least=0.55),
        taken.rate("service", "tapewatch run, worker and broker on a core each"),
    ]
