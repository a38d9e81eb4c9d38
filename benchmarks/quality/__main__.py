"""`python -m benchmarks.quality`: rarities asked for against those that came, as a table and as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.quality.pumps import judged, read_trades
from benchmarks.quality.realised import Realised, realised
from benchmarks.quality.synthetic import Stream, streams
from detectors.calibration import build_calibrator

SCORES = 300_000
RESULTS = Path(__file__).parents[1] / "results" / "rarity.json"
DATA = "TAPEWATCH_DATA"


def main() -> int:
    """Measure, print, write; 1 where a rate is off."""
    synthetic = [_of_stream(stream) for stream in streams(SCORES)]
    _print("synthetic scores", synthetic)
    real = list(_of_pumps())
    if real:
        _print("ordinary time of the pump files", real)
    else:
        print(f"the pump files were not measured: {DATA} names no folder with pumps/events.csv in it")
    every = [*synthetic, *real]
    rows = [{**asdict(one), "tied": one.tied, "good": one.good} for one in every]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"asked": ["1e-2", "1e-3", "1e-4", "1d"], "rows": rows}, indent=1) + "\n")
    print(f"\nwritten to {RESULTS.relative_to(Path(__file__).parents[2])}")
    off = [one.name for one in every if not one.good]
    if off:
        print(f"out of bounds: {'; '.join(off)}", file=sys.stderr)
    return 1 if off else 0


def _of_stream(stream: Stream) -> Realised:
    n = len(stream.score)
    calibrator = build_calibrator()
    calibrator.grow(int(stream.slot.max()) + 1)
    found = calibrator.step(stream.slot, stream.clock, stream.slot.astype(np.int64), stream.score)
    everything = np.ones(n, np.bool_)
    return realised(
        stream.name, stream.slot, stream.clock, stream.score, found.probability, found.seconds, everything
    )


def _of_pumps() -> Iterator[Realised]:
    folder = Path(os.environ.get(DATA, "")) / "pumps"
    if not (folder / "events.csv").is_file():
        return
    trades = read_trades(folder)
    slot, clock = trades.columns.slot, trades.columns.clock
    for name, score, rarity in judged(trades):
        yield realised(name, slot, clock, score, rarity.probability, rarity.seconds, trades.ordinary)


def _print(title: str, rows: Sequence[Realised]) -> None:
    head = ("realised / asked", "1e-2", "1e-3", "1e-4", "1 a day", "days", "ties", "")
    print(f"\n{title}")
    print("{:34}{:>8}{:>8}{:>8}{:>9}{:>7}{:>7}  {}".format(*head))
    for row in rows:
        ratios = "".join(f"{ratio:{width}.2f}" for ratio, width in zip(row.ratios, (8, 8, 8, 9), strict=True))
        verdict = ("tied, never above 2" if row.tied else "within 0.5 and 2") if row.good else "OUT OF BOUNDS"
        print(f"{row.name:34}{ratios}{row.days:7.0f}{row.ties:7.0%}  {verdict}")


if __name__ == "__main__":
    sys.exit(main())
