"""Scores on real trades: the hours and days around announced pumps, whose ordinary time is counted."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import Rarity, build_calibrator
from detectors.detector import Detector
from detectors.detector_settings import DetectorSettings
from detectors.event_columns import TRADE, Columns
from detectors.features import FeatureSet

BEFORE_MS, AFTER_MS = 3_600_000, 6 * 3_600_000  # around an onset, not ordinary
APART_NS = 3 * 3_600 * 1_000_000_000  # between the beginnings of two files, so that no pumps coincide
BATCH = 20_000
_SIZES = ["return_bps_10s", "log_notional_10s", "trade_rate_10s"]
DETECTORS = {
    "half-space trees, 3 features": DetectorSettings(
        model="HalfSpaceTrees", features=_SIZES, params={"seed": 7}
    ),
    "robust z, return of 10 s": DetectorSettings(model="RobustZ", features=["return_bps_10s"]),
    "robust z, notional of 10 s": DetectorSettings(model="RobustZ", features=["log_notional_10s"]),
    "robust z, trade's size": DetectorSettings(model="RobustZ", features=["size"]),
    "robust z, 3 features": DetectorSettings(model="RobustZ", features=_SIZES),
}


@dataclass(frozen=True, slots=True)
class Trades:
    """All files as one task sees them: each shifted in time so that they run beside each other."""

    columns: Columns
    ordinary: NDArray[np.bool_]


def read_trades(folder: Path) -> Trades:
    """Every labelled file of the folder, merged as if each had begun three hours after the one before."""
    slot, clock, price, size, ordinary = [], [], [], [], []
    with (folder / "events.csv").open(newline="") as lines:
        events = list(csv.DictReader(lines))
    for number, event in enumerate(events):
        with gzip.open(folder / event["file"], "rt", newline="") as text:
            rows = list(csv.reader(text))[1:]
        ts = np.maximum.accumulate(np.array([int(row[0]) for row in rows]))
        calm = np.ones(len(ts), np.bool_)
        if event["onset_ms"]:
            onset = int(event["onset_ms"])
            calm = (ts < onset - BEFORE_MS) | (ts > onset + AFTER_MS)
        slot.append(np.full(len(ts), number, np.int32))
        clock.append((ts - ts[0]) * 1_000_000 + number * APART_NS)
        price.append(np.array([float(row[2]) for row in rows]))
        size.append(np.array([float(row[3]) for row in rows]))
        ordinary.append(calm)
    at = np.concatenate(clock)
    order = np.argsort(at, kind="stable")
    prices, sizes = np.concatenate(price)[order], np.concatenate(size)[order]
    fields = {"price": prices, "size": sizes, "notional": prices * sizes}
    kind = np.full(len(at), TRADE, np.int8)
    columns = Columns(np.concatenate(slot)[order], kind, at[order], fields, len(events))
    return Trades(columns, np.concatenate(ordinary)[order])


def judged(trades: Trades) -> Iterator[tuple[str, NDArray[np.float64], Rarity]]:
    """Scores and rarities of every detector, over all rows."""
    whole = trades.columns
    n = len(whole)
    detectors = {name: Detector(f"d{i}", settings) for i, (name, settings) in enumerate(DETECTORS.items())}
    features = FeatureSet(list(dict.fromkeys(each for d in detectors.values() for each in d.features)))
    features.grow(whole.n_slots)
    parts: list[dict[str, NDArray[np.float64]]] = []
    batches = [_part(whole, slice(at, at + BATCH)) for at in range(0, n, BATCH)]
    for batch in batches:
        values = features.step(batch)
        parts.append({name: detector.step(batch, values).score for name, detector in detectors.items()})
    for name in detectors:
        score = np.concatenate([part[name] for part in parts])
        calibrator = build_calibrator()
        calibrator.grow(whole.n_slots)
        yield (
            name,
            score,
            calibrator.step(whole.slot, whole.clock, whole.slot.astype(np.int64), score),
        )


def _part(whole: Columns, rows: slice) -> Columns:
    fields = {name: column[rows] for name, column in whole.fields.items()}
    return Columns(whole.slot[rows], whole.kind[rows], whole.clock[rows], fields, whole.n_slots)
