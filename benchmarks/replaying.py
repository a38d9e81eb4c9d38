"""Row g: `tapewatch replay` of a file, against Full from memory; of files merged, against one."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.contest import Taken
from benchmarks.figures import Figure

RUNS = ("full, made", "replay", "replay, merged")


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """The ratio, and the rate that the command itself states, which leaves its start out."""
    del bench
    return [
        taken.ratio("replay", "full, made", "tapewatch replay / Full from memory", least=0.85),
        taken.rate("replay", "tapewatch replay of a file of lines"),
        taken.ratio("replay, merged", "replay", "three files merged / one file", least=0.80),
        taken.rate("replay, merged", "tapewatch replay of three files, every event from another"),
    ]
