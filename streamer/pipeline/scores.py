"""Scores as rows for a file, in an order that does not depend on batch sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from streamer.pipeline.outcome import Outcome
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
    offset = np.concatenate([scores.offset for scores in found])
    index = np.concatenate([scores.index for scores in found])
    which = np.concatenate([np.full(len(scores.slot), number) for number, scores in enumerate(found)])
    within = np.concatenate([np.arange(len(scores.slot)) for scores in found])
    for at in np.lexsort((which, index, offset)):
        scores, row = found[which[at]], within[at]
        score, rarity = float(scores.score[row]), float(scores.rarity[row])
        instrument = task.slots.instruments[scores.slot[row]]
        yield (
            task.partition.topic,
            task.partition.partition,
            *instrument,
            int(scores.ts[row]),
            int(scores.offset[row]),
            int(scores.index[row]),
            scores.detector,
            None if math.isnan(score) else score,
            None if math.isnan(rarity) else rarity,
            STATUSES[scores.status[row]],
        )
