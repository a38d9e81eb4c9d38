"""What the daemon is working on, in a small file beside the store that outlives the process.

The file is mapped into memory, so noting where work stands costs no system call, and the kernel keeps what
was noted when the process is killed, aborts, or hangs without ever running Python again. It does not survive
a loss of power, which is no fault of whatever was at work.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from streamer.errors import TapewatchError
from streamer.messages.records import Partition
from streamer.store.private_files import open_private

_SIZE = 16384
_MAGIC = 0x7461706577617431
_NUMBERS = 16
_TEXTS = {"detector": 512, "log": 3584, "process": 6656, "deaths": 9728}
_NAME_CHARS = 250
"""Longer names are cut short. A topic's is never, and a character takes up to 12 bytes of JSON, so each text
fits into the 3,072 bytes it has, and the deaths, which have two names, into the 6,656 at the end."""
(_MAGIC_AT, _INSIDE, _LIVE, _FIRST, _LAST, _ENDED, _RELOADING, _STUCK_S) = range(8)

BEATS: Final = 8
"""Place in `WorkFile.numbers` that counts up while Python code runs."""

STOPPED: Final = 9
"""Place in `WorkFile.numbers` that is not 0 once nobody needs to count `BEATS` any more."""

ENDED: Final = _ENDED
"""Place in `WorkFile.numbers` for how the process was ended."""

STUCK, HELD, ASKED = 1, 2, 3
"""Values at `ENDED`: work did not go on; no Python code could run any more; the process was asked to end."""

Ended = Literal["", "stuck", "held", "asked"]
_ENDINGS: dict[int, Ended] = {STUCK: "stuck", HELD: "held", ASKED: "asked"}


@dataclass(frozen=True, slots=True)
class Deaths:
    """Processes in a row that died inside the same detector at the same records.

    Parameters
    ----------
    detector, version
        The detector.
    log
        The log.
    first, last
        The offsets of the last one's batch, both included.
    count
        How many.
    """

    detector: str
    version: str
    log: Partition
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class LeftWork:
    """What a process was working on when it ended.

    Parameters
    ----------
    started_at
        When that process started, wall-clock seconds.
    ended
        ``stuck`` or ``held`` where it was ended because work did not go on (``held``: no Python code could
        run any more), ``asked`` where it was asked to stop, however it then ended; else empty.
    stuck_s
        For how long no work had been finished then, seconds.
    detector, version
        The detector that was calling its model; empty for none.
    log, first, last
        The records that were being folded, by partition and offsets (both included); None for none.
    live
        False if they were being replayed from the journal.
    reloading
        Whether another configuration was being prepared, which calls models, too.
    deaths
        What the processes before it died of.
    """

    started_at: float
    ended: Ended
    stuck_s: int
    detector: str
    version: str
    log: Partition | None
    first: int
    last: int
    live: bool
    reloading: bool
    deaths: Deaths | None

    @property
    def where(self) -> str:
        """The records, for people; empty for none."""
        if self.log is None or self.first < 0:
            return ""
        return f"{self.log.topic}[{self.log.partition}], offsets {self.first} to {self.last}"


class WorkFile:
    """The file of a running daemon; written by the engine's thread and by whoever watches it.

    Parameters
    ----------
    path
        The file; it is replaced.
    started_at
        When this process started, wall-clock seconds.
    deaths
        What the processes before died of.

    Raises
    ------
    TapewatchError
        When it cannot be written.
    """

    def __init__(self, path: Path, started_at: float, deaths: Deaths | None = None) -> None:
        try:
            with os.fdopen(open_private(path, os.O_RDWR | os.O_TRUNC), "r+b") as file:
                file.write(bytes(_SIZE))  # all of it: a hole that the disk has no room for would be fatal
                file.flush()
                self._memory = mmap.mmap(file.fileno(), _SIZE)
        except OSError as error:
            raise TapewatchError(f"cannot write {path}: {error.strerror}") from error
        self.numbers: NDArray[np.int64] = np.frombuffer(self._memory, np.int64, _NUMBERS)
        """int64, by the places above."""
        self._path = path
        self._detector: tuple[str, str] | None = None
        self._log: Partition | None = None
        self._started_at = started_at
        self._noting = threading.Lock()
        self._frozen = False
        self._write("process", {"started_at": started_at})
        self._write("deaths", None if deaths is None else asdict(deaths))
        self.numbers[_MAGIC_AT] = _MAGIC

    def enter(self, detector: str, version: str) -> None:
        """A detector is about to call its model."""
        with self._noting:
            if self._frozen:
                return
            if self._detector != (detector, version):
                self._write("detector", [detector[:_NAME_CHARS], version])
                self._detector = detector, version
            self.numbers[_INSIDE] = 1

    def leave(self) -> None:
        """The model has returned."""
        with self._noting:
            if not self._frozen:
                self.numbers[_INSIDE] = 0

    def reading(self, log: Partition, first: int, last: int, live: bool) -> None:
        """Records are about to be folded; no detector is at work yet."""
        with self._noting:
            if self._frozen:
                return
            numbers = self.numbers
            numbers[_INSIDE] = 0
            if self._log != log:
                self._write("log", [log.topic[:_NAME_CHARS], log.incarnation, log.partition])
                self._log = log
            numbers[_LIVE], numbers[_FIRST], numbers[_LAST] = live, first, last

    def reloading(self, at_it: bool) -> None:
        """Another thread prepares a configuration, or has finished."""
        self.numbers[_RELOADING] = at_it

    def freeze(self, going_on: Callable[[], bool] = lambda: False) -> bool:
        """Note nothing more about detectors and records.

        Parameters
        ----------
        going_on
            Whether work goes on after all, asked while nothing can be noted.

        Returns
        -------
        bool
            False, with nothing frozen, where work goes on.
        """
        with self._noting:
            self._frozen = not going_on()
            return self._frozen

    def left(self) -> LeftWork:
        """What is noted so far; blames nobody where the file was damaged from outside."""
        return _parse(bytes(self._memory)) or LeftWork(
            started_at=self._started_at,
            ended=_ENDINGS.get(int(self.numbers[_ENDED]), ""),
            stuck_s=int(self.numbers[_STUCK_S]),
            detector="",
            version="",
            log=None,
            first=-1,
            last=-1,
            live=False,
            reloading=False,
            deaths=None,
        )

    def stuck(self, seconds: float) -> None:
        """Note that this process is ended since work does not go on."""
        self.numbers[_STUCK_S] = int(seconds)
        self.numbers[_ENDED] = STUCK

    def asked(self) -> None:
        """Note that this process was asked to end: wherever its work stands then, that is no fault of it."""
        if self.numbers[_ENDED] == 0:
            self.numbers[_ENDED] = ASKED

    def finished(self) -> None:
        """Take the file away: this process ends as it should. A watch on its memory may outlive it."""
        self.numbers[STOPPED] = 1
        self._path.unlink(missing_ok=True)

    def _write(self, name: str, value: Any) -> None:
        """Write a text; the length comes last, and 0 in between, so that half of one is never read."""
        data = json.dumps(value).encode()
        at = _TEXTS[name]
        self._memory[at : at + 4] = bytes(4)
        self._memory[at + 4 : at + 4 + len(data)] = data
        self._memory[at : at + 4] = len(data).to_bytes(4, "little")


def work_path(store: Path) -> Path:
    """The file of a store's daemon."""
    return store.with_name(store.name + ".work")


def left_work(path: Path) -> LeftWork | None:
    """What the last process left in its file; None where it ended as it should, or the file is damaged."""
    try:
        return _parse(path.read_bytes())
    except OSError:
        return None


def _parse(data: bytes) -> LeftWork | None:
    if len(data) != _SIZE:
        return None
    numbers = np.frombuffer(data, np.int64, _NUMBERS)
    if numbers[_MAGIC_AT] != _MAGIC:
        return None
    try:
        detector, version = _text(data, "detector") or ("", "")
        log = _text(data, "log")
        deaths = _text(data, "deaths")
        return LeftWork(
            started_at=float(_text(data, "process")["started_at"]),
            ended=_ENDINGS.get(int(numbers[_ENDED]), ""),
            stuck_s=int(numbers[_STUCK_S]),
            detector=detector if numbers[_INSIDE] else "",
            version=version if numbers[_INSIDE] else "",
            log=None if log is None else Partition(*log),
            first=int(numbers[_FIRST]),
            last=int(numbers[_LAST]),
            live=bool(numbers[_LIVE]),
            reloading=bool(numbers[_RELOADING]),
            deaths=None if deaths is None else Deaths(**{**deaths, "log": Partition(*deaths["log"])}),
        )
    except (ValueError, TypeError, KeyError):  # the process ended while it wrote
        return None


def _text(data: bytes, name: str) -> Any:
    at = _TEXTS[name]
    size = int.from_bytes(data[at : at + 4], "little")
    return json.loads(data[at + 4 : at + 4 + size]) if size else None
