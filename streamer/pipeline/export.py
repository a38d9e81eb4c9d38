"""Writes scores and alerts to files, as JSON lines or CSV by the file's name."""

from __future__ import annotations

import csv
import json
from functools import lru_cache
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from streamer.errors import TapewatchError, UsageError
from streamer.pipeline.runner import Work
from streamer.pipeline.scores import COLUMNS, score_rows

_SUFFIXES = (".jsonl", ".csv")
_LINE = "{" + ", ".join(f'"{name}": %s' for name in COLUMNS) + "}\n"


class ScoreFile:
    """A file that every score goes to.

    Parameters
    ----------
    path
        Ends in ``.jsonl`` or ``.csv``.

    Raises
    ------
    TapewatchError
        When it cannot be written, or ends in something else.
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

    def write(self, work: Work) -> None:
        """Add the scores of one batch."""
        rows = score_rows(work.task, work.outcome)
        if self._is_csv:
            self._csv.writerows(rows)
            return
        for topic, partition, venue, symbol, *event, detector, score, rarity, status in rows:
            named = _text(topic), partition, _text(venue), _text(symbol)
            found = _text(detector), _number(score), _number(rarity), _text(status)
            self._out.write(_LINE % (*named, *event, *found))


@lru_cache(maxsize=1 << 16)
def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: float | None) -> str:
    if value is None:
        return "null"
    return repr(value) if isfinite(value) else json.dumps(value)


def open_for_writing(path: Path) -> TextIO:
    """A text file to write, or a clear error."""
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise TapewatchError(f"cannot write {path}: {error.strerror}") from error
