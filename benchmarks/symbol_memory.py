"""Row i: memory an instrument, of the shipped example at 10,000 instruments with all windows in use."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.contest import Taken
from benchmarks.figures import Figure, must
from benchmarks.process import run_worker


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """Growth of the resident memory by instrument, and the most the whole process ever had."""
    del taken
    many = bench.scale.many
    bench.say(f"{many:,} symbols, {bench.scale.events_each} events each")
    found = run_worker("symbols", many, bench.scale.events_each)
    must(found["slots"] == many, f"{found['slots']} of {many} instruments are known")
    must(found["records"] == many * bench.scale.events_each, "records were lost")
    each = (found["after_mb"] - found["before_mb"]) * 1024 / many
    return [
        Figure("a symbol", each, "KB", most=100.0, note=f"{many:,} symbols"),
        Figure("whole process at its most, checkpoints included", found["peak_mb"], "MB", most=1_536.0),
        Figure("before the first event", found["before_mb"], "MB"),
    ]
