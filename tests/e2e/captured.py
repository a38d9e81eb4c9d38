"""The captures the end-to-end tests run on: the real ones where they are, and always the committed ones."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

COMMITTED = Path(__file__).parents[1] / "data"
RECEIVE_TIME = {"format": "binance", "receive_time": "ns"}
FILES = (
    {"match": "spot_*", "venue": "binance", **RECEIVE_TIME},
    {"match": "usdm_*", "venue": "binance-perp", **RECEIVE_TIME},
)


@dataclass(frozen=True)
class Captures:
    """Spot and perpetual captures, and what the shipped examples make of them."""

    name: str
    spot: tuple[Path, ...]
    perp: tuple[Path, ...]
    quiet_at_most: int
    sensitive_at_least: int

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self.spot, *self.perp)

    @cached_property
    def records(self) -> int:
        total = 0
        for path in self.files:
            with gzip.open(path) as lines:
                total += sum(1 for _ in lines)
        return total


def _committed() -> Captures:
    spot = tuple(sorted(COMMITTED.glob("spot_*.gz")))
    return Captures("committed", spot, tuple(sorted(COMMITTED.glob("usdm_*.gz"))), 10, 100)


def _real() -> Captures | None:
    given = os.environ.get("TAPEWATCH_DATA")
    if not given:
        return None
    folder = Path(given) / "binance"
    spot = tuple(sorted(folder.glob("spot_*.gz")))
    return Captures("real", spot, tuple(sorted(folder.glob("usdm_*.gz"))), 2, 300)


def all_captures() -> list[object]:
    """Parameters: the committed captures, and the real ones where the environment names them."""
    found = [_committed()]
    real = _real()
    if real is not None:
        found.append(real)
    return [pytest.param(captures, id=captures.name) for captures in found]


def captures_in_length() -> list[object]:
    """Parameters: the committed captures, and the real ones in the long form."""
    real = _real()
    found = [pytest.param(_committed(), id="committed")]
    if real is not None:
        found.append(pytest.param(real, id="real", marks=pytest.mark.long))
    return found


def best_captures() -> Captures:
    """The real captures where they are, else the committed ones."""
    return _real() or _committed()
