"""How detection goes on, for whoever watches it from another thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from detectors.work_watch import watched_by
from streamer.messages.records import Partition
from streamer.pipeline.compiling import watching
from streamer.store.work_file import WorkFile

SLOW_S = 15.0
"""Without work finished for this long, nobody is told that all is well; a step takes about 5 s."""


class WorkProgress:
    """Counts the work that the engine's thread finishes, and notes in a file what it is working on.

    Parameters
    ----------
    file
        The file beside the store.
    """

    def __init__(self, file: WorkFile) -> None:
        self.file = file
        self.finished = 0
        """Pieces of work finished so far: polls, batches, timers, calls of models."""
        self._begun = False
        self.at_work = False
        """Whether there is anything to wait for: the engine runs, and no kernel is being compiled."""
        self.asks = False
        """Whether it waits for the broker or the disk, which may be away for a while."""
        self.idle_s = 0.0
        """For how long nothing has been finished; set by whoever watches."""
        self.problem: str | None = None
        """That work does not go on, once that is certain; the process is then about to end."""

    def enter(self, detector: str, version: str) -> None:
        """A detector is about to call its model; so whatever came before, such as decoding, is done."""
        self.finished += 1
        self.file.enter(detector, version)

    def mark(self) -> None:
        """One piece of work has been finished."""
        self.finished += 1

    def leave(self) -> None:
        """The model has returned."""
        self.finished += 1  # before anything is noted: what is noted belongs to work that is not finished
        self.file.leave()

    def reading(self, log: Partition, first: int, last: int, live: bool) -> None:
        """Records are about to be folded, new ones or those of a journal."""
        self.file.reading(log, first, last, live)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """The broker or the disk is asked meanwhile, and what it gives is taken over."""
        asks, self.asks = self.asks, True
        self.finished += 1
        try:
            yield
        finally:
            self.asks = asks
            self.finished += 1

    def begin(self) -> None:
        """From now on there is work to do: the source is open."""
        self._begun = self.at_work = True

    @contextmanager
    def working(self) -> Iterator[None]:
        """The engine works on this thread meanwhile; compiling a kernel is no work that could be stuck."""
        compiling = 0

        def begin() -> None:
            nonlocal compiling
            compiling += 1
            self.at_work = False

        def end() -> None:
            nonlocal compiling
            compiling -= 1
            self.finished += 1
            self.at_work = self._begun and compiling == 0

        try:
            with watched_by(self), watching(begin, end):
                yield
        finally:
            self.at_work = False
