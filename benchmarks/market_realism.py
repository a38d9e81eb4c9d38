"""The simulated market beside real captures: the same statistics of both, in one table.

Run ``python benchmarks/market_realism.py [FOLDER]``; the folder (or TAPEWATCH_DATA) holds captures of
Binance's streams under ``binance/``, named as in examples/binance.yaml. Without one only the simulated
market is shown.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import DecodeContext, build_format
from streamer.messages.records import Record
from streamer.sources.files.file_records import FileInput, FileRecords
from streamer.sources.simulator import INSTRUMENTS, SimulatorSource

_NS, _MS = 10**9, 10**6
_HOUR_S = 3600
_SEED = 7
_SHOWN = (0, 1, 2, 4, 7, 11)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is compared: of trades, and of the last price of every second."""

    trades_per_s: float
    return_sd_bps: float
    return_kurtosis: float
    sign_lag_1: float
    sign_lag_20: float
    same_ms: float
    gap_sd_over_mean: float


def statistics(ts: NDArray[np.int64], price: NDArray[np.float64], sign: NDArray[np.int64]) -> Statistics:
    """The statistics of trades in the order of their time."""
    second = ts // _NS
    every = np.arange(second[0], second[-1] + 1)
    last = np.searchsorted(second, every, side="right") - 1
    moves = np.diff(np.log(price[last]))
    spread = moves - moves.mean()
    gap = np.diff(ts // _MS)
    return Statistics(
        len(ts) / len(every),
        float(moves.std() * 1e4),
        float((spread**4).mean() / moves.var() ** 2),
        float(np.corrcoef(sign[:-1], sign[1:])[0, 1]),
        float(np.corrcoef(sign[:-20], sign[20:])[0, 1]),
        float((gap == 0).mean()),
        float(gap.std() / gap.mean()),
    )


def of_records(records: Iterable[Record], preset: str, topic: str) -> Statistics:
    """The statistics of the trades among these records."""
    format_ = build_format(FormatSettings.model_validate(preset))
    batch = format_.decode(list(records), DecodeContext(topic, "venue")).batch
    trades = np.flatnonzero(batch.kind == 0)
    trades = trades[np.argsort(batch.ts[trades], kind="stable")]
    buys = batch.texts["aggressor_side"][trades] == batch.texts.strings.code("buy")
    return statistics(batch.ts[trades], batch.numbers["price"][trades], np.where(buys, 1, -1))


def simulated(seed: int, number: int, seconds: int) -> Statistics:
    """Those of one instrument of an ordinary simulated market."""
    events = SimulatorSource(seed, seconds, per_kind=0).instrument(number)
    return of_records((Record(at, value) for at, (_, value) in enumerate(events)), "tapewatch", "simulated")


def rows(folder: Path | None) -> Iterator[tuple[str, Statistics]]:
    """The table's rows: real captures, then simulated instruments."""
    for path in sorted(folder.glob("binance/*.gz")) if folder else ():
        yield (
            f"real {path.name.partition('.')[0]}",
            of_records(FileRecords(FileInput(path, "ns")), "binance", path.name),
        )
    for number in _SHOWN:
        yield f"simulated {INSTRUMENTS[number].symbol}", simulated(_SEED, number, _HOUR_S)


def main() -> None:
    """Print the table as Markdown."""
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TAPEWATCH_DATA")
    names = [field.name for field in fields(Statistics)]
    print("| market | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name, found in rows(Path(given) if given else None):
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in astuple(found)) + " |")


if __name__ == "__main__":
    main()
