"""`python -m benchmarks [LETTER…]`: measure, print, write down; 1 where a figure is missed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import PEERS, Bench
from benchmarks.captures import which
from benchmarks.contest import Taken, take
from benchmarks.figures import Figure
from benchmarks.machine import described
from benchmarks.rows import ROWS, Row
from benchmarks.runs import Throughput
from benchmarks.scale import FULL, QUICK
from benchmarks.table import PAGE, RESULTS, as_json, page_part, text, written_into


def main() -> int:
    """Measure what is asked for."""
    given = _arguments()
    rows = [row for row in ROWS if not given.rows or row.letter in given.rows]
    python = given.peers / "bin" / "python"
    scale = QUICK if given.quick else FULL
    began = time.monotonic()
    with Bench(scale, _say, python.absolute() if python.exists() else None, given.bootstrap) as bench:
        measured = measure(bench, rows)
    print(text(measured))
    _say(f"took {time.monotonic() - began:.0f} s")
    figures = [figure for _, found in measured.values() for figure in found]
    if not given.quick and not given.rows:
        _write(measured, bench)
    return 1 if any(figure.verdict == "missed" for figure in figures) and not given.quick else 0


def measure(bench: Bench, rows: Sequence[Row]) -> dict[str, tuple[str, list[Figure]]]:
    """Figures by letter; all runs that rows compare are taken in turn, together."""
    throughput = Throughput(bench)
    wanted = dict.fromkeys(run for row in rows for run in row.runs)
    names = [name for name in wanted if name not in throughput.missing]
    throughput.prepare(names)
    runs = {name: throughput.all[name] for name in names}
    taken = take(runs, bench.scale.rounds, bench.say, throughput.missing) if runs else Taken({}, {})
    found = {}
    for row in rows:
        bench.say(f"{row.letter}  {row.title}")
        found[row.letter] = (row.title, row.measure(bench, taken))
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What tapewatch costs; see docs/performance.md."
    )
    letters = [row.letter for row in ROWS]
    parser.add_argument(
        "rows", nargs="*", metavar="LETTER", help=f"rows of the table, of {' '.join(letters)}; all"
    )
    parser.add_argument("--quick", action="store_true", help="little of everything, to see that it is right")
    parser.add_argument("--bootstrap", help="a broker to use; by default one is started on a core of its own")
    parser.add_argument("--peers", type=Path, default=PEERS, help="an environment with the peers in it")
    given = parser.parse_args()
    unknown = [letter for letter in given.rows if letter not in letters]
    if unknown:
        parser.error(f"no row {' '.join(unknown)}; there are {' '.join(letters)}")
    return given


def _write(measured: dict[str, tuple[str, list[Figure]]], bench: Bench) -> None:
    scale = bench.scale
    how = {
        "events": scale.events,
        "peer_events": scale.peer_events,
        "rounds": scale.rounds,
        "captures": which(),
        "batch_size": bench.config.settings.engine.batch_size,
    }
    written = as_json(measured, described(), how)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(written)
    PAGE.write_text(written_into(PAGE.read_text("utf-8"), page_part(json.loads(written))), "utf-8")
    _say(f"written to {RESULTS.name} and {PAGE.name}")


def _say(words: str) -> None:
    print(f"  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
