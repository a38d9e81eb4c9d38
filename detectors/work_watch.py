"""Who is told how the work of detectors goes on, so that a call that never returns can be noticed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol


class WorkWatch(Protocol):
    """Told on the working thread, before and after calls; it must be quick, and must not raise."""

    def enter(self, detector: str, version: str) -> None:
        """A detector is about to call its model."""

    def mark(self) -> None:
        """One piece of work has been finished, such as one call of a model."""

    def leave(self) -> None:
        """The detector is done with its model for now."""

    def asking(self) -> AbstractContextManager[None]:
        """A context for waiting on what is outside, such as a broker or a disk, which may take a while."""


class NobodyWatches:
    """The `WorkWatch` that does nothing."""

    def enter(self, detector: str, version: str) -> None:
        """See `WorkWatch.enter`."""

    def mark(self) -> None:
        """See `WorkWatch.mark`."""

    def leave(self) -> None:
        """See `WorkWatch.leave`."""

    def asking(self) -> AbstractContextManager[None]:
        """See `WorkWatch.asking`."""
        return nullcontext()


_watch: ContextVar[WorkWatch] = ContextVar("work watch", default=NobodyWatches())  # noqa: B039 - it has no state


def work_watch() -> WorkWatch:
    """Who watches this thread."""
    return _watch.get()


def is_watched() -> bool:
    """Whether anybody watches this thread: only those of detection are watched."""
    return not isinstance(_watch.get(), NobodyWatches)


@contextmanager
def watched_by(watch: WorkWatch) -> Iterator[None]:
    """Let `watch` be told what this thread does meanwhile.

    Examples
    --------
    >>> with watched_by(NobodyWatches()):
    ...     work_watch().mark()
    """
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


@contextmanager
def inside(detector: str, version: str) -> Iterator[None]:
    """Tell who watches this thread that a detector calls its model meanwhile."""
    watch = work_watch()
    watch.enter(detector, version)
    try:
        yield
    finally:
        watch.leave()
