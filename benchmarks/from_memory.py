"""Row a: Full from memory on one core, against the bare loop over River."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.contest import Taken
from benchmarks.figures import Figure

RUNS = ("full, made", "bare, made", "full, captured", "bare, captured")
ASKED = 12.0


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """The ratio and both rates, for either workload."""
    del bench
    return [
        taken.ratio("full, made", "bare, made", "made market: Full / bare loop", least=ASKED),
        taken.rate("full, made", "made market: Full"),
        taken.rate("bare, made", "made market: bare loop"),
        taken.ratio("full, captured", "bare, captured", "captures: Full / bare loop", least=ASKED),
        taken.rate("full, captured", "captures: Full"),
        taken.rate("bare, captured", "captures: bare loop"),
    ]
