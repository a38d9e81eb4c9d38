"""Writes scores to a file, as JSON lines or CSV by the file's suffix."""

from __future__ import annotations

import csv
import json
import os
from functools import lru_cache
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from streamer.errors import TapewatchError, UsageError
from streamer.pipeline.runner_context import StepResult
from streamer.pipeline.scores import COLUMNS, score_rows
from streamer.store.private_files import open_private

_SUFFIXES = (".jsonl", ".csv")
_LINE = "{" + ", ".join(f'"{name}": %s' for name in COLUMNS) + "}\n"


class ScoreFile:
    """A file of all scores.

    Parameters
    ----------
    path
        Its suffix is ``.jsonl`` or ``.csv``.

    Raises
    ------
    TapewatchError
        When it cannot be written, or has another suffix.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in _SUFFIXES:
            raise UsageError(f"{path}: scores are written as .jsonl or .csv")
        self._is_csv = path.suffix == ".csv"
        self._out = open_for_writing(path)
        self._csv = csv.writer(self._out, lineterminator="\n")
        if self._is_csv:
            self._csv.writerow(COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.close()

    def write(self, step: StepResult) -> None:
        """Append the scores of one step."""
        rows = score_rows(step.task, step.outcome)
        if self._is_csv:
            self._csv.writerows(rows)
            return
        for topic, partition, venue, symbol, *event, detector, score, rarity, status in rows:
            instrument = _text(topic), partition, _text(venue), _text(symbol)
            result = _text(detector), _number(score), _number(rarity), _text(status)
            self._out.write(_LINE % (*instrument, *event, *result))


@lru_cache(maxsize=1 << 16)
def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: float | None) -> str:
    if value is None:
        return "null"
    return repr(value) if isfinite(value) else json.dumps(value)


def open_for_writing(path: Path) -> TextIO:
    """Open a text file for writing, or raise a `TapewatchError` that names it."""
    try:
        return os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8", newline="")
    except OSError as error:
        raise TapewatchError(f"cannot write {path}: {error.strerror}") from error
