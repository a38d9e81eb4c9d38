"""Scores as rows of a file, in an order that does not depend on batch sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.models.model import STATUS_NAMES
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


def score_rows(task: Task, outcome: Outcome) -> Iterator[tuple[Any, ...]]:
    """One row for each event and detector, in the order of events, then of detectors.

    A missing score is None.
    """
    parts = outcome.scores
    if not parts:
        return
    detector = np.concatenate([np.full(len(scores.slot), number) for number, scores in enumerate(parts)])
    index = _concatenated(parts, "index")
    order = np.lexsort((detector, index, _concatenated(parts, "order")))

    def column(name: str) -> list[Any]:
        values: list[Any] = _concatenated(parts, name)[order].tolist()
        return values

    names = [scores.instruments[code] for scores in parts for code in scores.instrument.tolist()]
    instruments = [names[row] for row in order.tolist()]
    members = [task.log.members[source] for source in column("source")]
    yield from zip(
        [member.topic for member in members],
        [member.partition for member in members],
        [instrument.venue for instrument in instruments],
        [instrument.symbol for instrument in instruments],
        column("ts"),
        column("offset"),
        index[order].tolist(),
        [parts[number].detector for number in detector[order].tolist()],
        _or_none(column("score")),
        _or_none(column("rarity")),
        [STATUS_NAMES[status] for status in column("status")],
        strict=True,
    )


def _concatenated(parts: Sequence[Scores], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(scores, name) for scores in parts])


def _or_none(values: list[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]
