"""Row b: Full from memory, against Quix Streams and Bytewax doing the bare loop's work."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.contest import Taken
from benchmarks.figures import Figure

RUNS = ("full, made", "quix", "bytewax")


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """Both ratios and rates."""
    del bench
    return [
        taken.ratio("full, made", "quix", "Full / Quix Streams", least=18.0),
        taken.rate("quix", "Quix Streams, from a broker, state in memory"),
        taken.ratio("full, made", "bytewax", "Full / Bytewax", least=13.0),
        taken.rate("bytewax", "Bytewax, from memory, batches of 500"),
    ]
