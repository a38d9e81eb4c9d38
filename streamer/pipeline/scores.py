"""Scores as rows for a file, in an order that does not depend on batch sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.messages.outcome import Outcome, Scores
from streamer.pipeline.task import Task

COLUMNS = (
    "topic",
    "partition",
    "venue",
    "symbol",
    "ts_event_ns",
    "offset",
    "index",
    "detector",
    "score",
    "rarity_s",
    "status",
)
"""The columns of a score row, in order."""

STATUSES = ("warming", "ready", "quarantined")
"""A detector's states by code."""


def score_rows(task: Task, outcome: Outcome) -> Iterator[tuple[Any, ...]]:
    """One row an event and detector, by event, then by detector; a score that is not there is None."""
    found = outcome.scores
    if not found:
        return
    which = np.concatenate([np.full(len(scores.slot), number) for number, scores in enumerate(found)])
    offset, index = _joined(found, "offset"), _joined(found, "index")
    order = np.lexsort((which, index, offset))

    def column(name: str) -> list[Any]:
        found_here: list[Any] = _joined(found, name)[order].tolist()
        return found_here

    instruments = [task.slots.instruments[slot] for slot in column("slot")]
    yield from zip(
        repeat(task.partition.topic),
        repeat(task.partition.partition),
        [instrument.venue for instrument in instruments],
        [instrument.symbol for instrument in instruments],
        column("ts"),
        offset[order].tolist(),
        index[order].tolist(),
        [found[number].detector for number in which[order].tolist()],
        _or_none(column("score")),
        _or_none(column("rarity")),
        [STATUSES[status] for status in column("status")],
        strict=False,
    )


def _joined(found: Sequence[Scores], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(scores, name) for scores in found])


def _or_none(values: list[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]
