"""Prunes the store beside detection: a thread of its own, in transactions that no commit waits long for."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from alerts.clock import Clock
from alerts.durations import duration_s
from streamer.app.believed_time import BelievedTime, since_boot
from streamer.config.byte_sizes import size_bytes
from streamer.config.keep_settings import KeepSettings
from streamer.errors import TapewatchError
from streamer.notify.clock import SystemClock
from streamer.store.database import Database
from streamer.store.dead_letter_sizes import DeadLetterSizes
from streamer.store.free_pages import FilePages, file_pages, flush_log, give_back, rewrite
from streamer.store.kept_time import keep_time, kept_time
from streamer.store.lock import only_daemon_of
from streamer.store.pruning import Pruning, Retention

log = structlog.get_logger(__name__)

EVERY_S: Final = 300.0
"""Seconds between two rounds of pruning."""

PAGES_AT_ONCE: Final = 32
"""Pages of the file that are given back in one transaction."""

_FIRST_AFTER_S = 10.0  # a start has other work to do
_REST = 3.0  # of each transaction's own time, so that detection has the store for most of the time
_REST_AT_LEAST_S = 0.002
_FLUSH_EVERY = 20  # transactions
_MIB = 1 << 20


def keep_of(settings: KeepSettings) -> Retention:
    """What a configuration's `keep` says.

    Examples
    --------
    >>> keep_of(KeepSettings(alerts="2d")).alerts_s
    172800
    """
    letters = settings.dead_letters
    return Retention(
        duration_s(settings.alerts),
        duration_s(settings.decisions),
        duration_s(settings.deliveries),
        duration_s(letters.for_),
        size_bytes(letters.size),
    )


class Upkeep:
    """Keeps the store as large as the configuration says.

    A wall clock that is set far ahead deletes nothing at once, in this run or in one that begins meanwhile:
    what is old goes by the time that has passed, until the clock has kept its new time for a day.

    Parameters
    ----------
    database
        The open store.
    keep
        What is kept.
    clock
        Wall-clock time.
    watch
        Told what was deleted, by `PRUNED`, and the bytes of the file and of its free pages.
    monotonic
        Monotonic seconds, those of a suspended machine among them.
    """

    def __init__(
        self,
        database: Database,
        keep: Retention,
        clock: Clock,
        watch: Callable[[Mapping[str, int], int, int], None],
        monotonic: Callable[[], float] = since_boot,
    ) -> None:
        self._database = database
        self._keep = keep
        self._watch = watch
        self._monotonic = monotonic
        self._time = BelievedTime(clock, monotonic, kept_time(database))
        self._sizes = DeadLetterSizes(database)
        self._stopping = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End after the transaction at hand."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def round(self) -> Mapping[str, int]:
        """Prune all that is too old, then give free pages back; what was deleted, by `PRUNED`."""
        now = self._time.now()
        keep_time(self._database, now)
        pruning = Pruning(self._database, self._keep, now.believed, sizes=self._sizes)
        began = self._monotonic()
        for number, step in enumerate(pruning.steps()):
            if any(step.values()):
                self._rest(began, number)
            if self._stopping.is_set():
                break
            began = self._monotonic()
        self._shrink()
        pages = file_pages(self._database)
        self._watch(pruning.counts, pages.count * pages.size, pages.free * pages.size)
        if deleted := {name: count for name, count in pruning.counts.items() if count}:
            log.info("store pruned", **deleted)
        return pruning.counts

    def _run(self) -> None:
        wait_s = _FIRST_AFTER_S
        while not self._stopping.wait(wait_s):
            wait_s = EVERY_S
            try:
                self.round()
            except (
                TapewatchError,
                SQLAlchemyError,
                sqlite3.Error,
            ) as error:  # detection and delivery report the store themselves
                if not self._failed:
                    log.warning("the store cannot be pruned", problem=str(error))
                self._failed = True
            else:
                self._failed = False

    def _shrink(self) -> None:
        pages, number = file_pages(self._database), 0
        left = pages.spare if pages.shrinks else 0
        while left > 0 and not self._stopping.is_set():
            began = self._monotonic()
            give_back(self._database, min(left, PAGES_AT_ONCE))
            left -= PAGES_AT_ONCE
            number += 1
            self._rest(began, number)

    def _rest(self, began: float, number: int) -> None:
        took = self._monotonic() - began
        if number % _FLUSH_EVERY == 0:
            with suppress(TapewatchError):  # the next commit does it
                flush_log(self._database)
        self._stopping.wait(max(_REST * took, _REST_AT_LEAST_S))


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What a command has pruned.

    Parameters
    ----------
    counts
        Rows that were deleted, or would be, by `PRUNED`.
    pages
        The pages of the file afterwards.
    """

    counts: Mapping[str, int]
    pages: FilePages

    @property
    def size_text(self) -> str:
        """How large the file is and how much of it is free, for people."""
        size, free = (pages * self.pages.size / _MIB for pages in (self.pages.count, self.pages.free))
        return f"{size:,.1f} MiB, {free:,.1f} of it free"


def pruned_now(database: Database, keep: Retention, *, dry_run: bool, rewriting: bool) -> PruneReport:
    """Prune a store for a command, beside a running daemon or without one.

    Parameters
    ----------
    database, keep
        The open store, and what is kept.
    dry_run
        Only count.
    rewriting
        Write the file anew afterwards.

    Raises
    ------
    TapewatchError
        When the file is to be written anew while a daemon runs on it.
    """
    with ExitStack() as held:
        if rewriting and database.path is not None:
            held.enter_context(only_daemon_of(database.path))
        pruning = Pruning(database, keep, SystemClock().now(), dry_run=dry_run)
        counts = pruning.all(lambda: time.sleep(_REST_AT_LEAST_S))
        if rewriting:
            rewrite(database)
        elif not dry_run:
            shrink(database, lambda: time.sleep(_REST_AT_LEAST_S))
        return PruneReport(counts, file_pages(database))


def shrink(database: Database, between: Callable[[], object]) -> None:
    """Give free pages back, but for those that are kept for what is written next."""
    pages = file_pages(database)
    for _ in range(0, pages.spare if pages.shrinks else 0, PAGES_AT_ONCE):
        give_back(database, PAGES_AT_ONCE)
        between()
