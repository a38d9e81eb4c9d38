"""Whether all is well: whether detection and delivery go on wherever there is work for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from alerts.clock import Clock
from alerts.durations import spoken
from alerts.receivers.receiver import reason_code
from streamer.messages.records import Partition, PausedPartition
from streamer.notify.notifier import Notifier
from streamer.pipeline.progress import SLOW_S, WorkProgress
from streamer.serve.dead_share import DeadShare
from streamer.serve.gauges import GaugeValues, Labels, labels_of
from streamer.serve.health import Health
from streamer.serve.refusals import Refusals
from streamer.store.database import Database, StoreError
from streamer.store.undelivered import Undelivered, oldest_undelivered

NOT_READ_S = 60.0
"""How long records may wait in a log that is not read on, before that is told. Longer than a rebalance."""

_TURN_RECORDS_PER_S = 1_000.0
"""Records of other logs for which one waits that catches up; the slowest models take about that many."""

AWAY_S = 60.0
"""How long the broker may not answer before it is told; until then it is `tapewatch_source_up` alone."""

UNDELIVERED_S = 300.0
"""How long an alert may be on its way; a receiver's cap and its retries take less."""

NO_PARTITION_S = 300.0
"""How long there may be no partition to read."""

_ASK_STORE_EVERY_S = 2.0
_LOGS_NAMED = 3


class HealthWatch:
    """Judges how the service stands; from any thread.

    Parameters
    ----------
    database, clock, monotonic
        The open store; wall-clock and monotonic seconds.
    gauges
        The tasks' values as recorded last.
    step_age_s
        Seconds since the last step was finished.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        monotonic: Callable[[], float],
        gauges: Callable[[], GaugeValues],
        step_age_s: Callable[[], float],
    ) -> None:
        self.asked_ends: Callable[[], Mapping[Partition, int]] = dict
        """The ends of logs by what the broker was asked last."""
        self.paused: Sequence[PausedPartition] = ()
        """Partitions that are not read on until somebody does something; replaced as a whole."""
        self.notifier: Notifier | None = None
        self.progress: WorkProgress | None = None
        self.dead_share = DeadShare()
        """Counts what becomes of records."""
        self.refusals = Refusals(database)
        """Is told what becomes of deliveries."""
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._gauges = gauges
        self._step_age_s = step_age_s
        self._lock = threading.Lock()
        self._read: dict[Labels, tuple[int, float]] = {}  # up to where, and since when
        self._up_at = self._assigned_at = self._advanced_at = monotonic()
        self._asked_store_at = -_ASK_STORE_EVERY_S
        self._waiting: Undelivered | None = None
        self._store_problem = ""

    def look(self) -> Health:
        """How it stands now."""
        with self._lock:
            return self._look(self._gauges(), self._monotonic())

    def _look(self, gauges: GaugeValues, now: float) -> Health:
        behind = gauges.behind({labels_of(log): end for log, end in self.asked_ends().items()})
        undelivered_s = self._undelivered_s()
        stuck = [*self._stopped(now), *self._not_finished()]
        waiting = [
            *self._away(gauges, now),
            *self._unassigned(gauges, now),
            *self._undelivered(undelivered_s),
            *self._refused(),
            *self.dead_share.causes(now),
        ]
        for cause, is_stuck in self._not_read(gauges, behind, now):
            (stuck if is_stuck else waiting).append(cause)
        return Health(
            step_age_s=self._step_age_s(),
            behind=sum(behind.values()) if behind else None,
            undelivered_s=undelivered_s,
            causes=(*stuck, *waiting),
            stuck=tuple(stuck),
        )

    def _stopped(self, now: float) -> Iterator[str]:
        if self.notifier is None:
            return
        if self.notifier.failure is not None:
            yield f"delivery stopped: {type(self.notifier.failure).__name__}"
        elif now - self.notifier.looked_at >= NOT_READ_S and self.notifier.is_running:
            yield f"alerts have not been routed for {spoken(now - self.notifier.looked_at)}"

    def _not_finished(self) -> Iterator[str]:
        progress = self.progress
        if progress is None:
            return
        if progress.problem is not None:
            yield progress.problem
        elif progress.idle_s >= SLOW_S:
            left = progress.file.left()
            at = [f"detector {left.detector}"] if left.detector else []
            at += [left.where] if left.where else []
            outside = "waiting for the broker or the disk" if progress.asks else ""
            doing = outside or ", ".join(at)
            yield f"no step has finished for {spoken(progress.idle_s)}{f' ({doing})' if doing else ''}"

    def _away(self, gauges: GaugeValues, now: float) -> Iterator[str]:
        if gauges.source_up:
            self._up_at = now
        elif now - self._up_at >= AWAY_S:
            yield f"the broker has not answered for {spoken(now - self._up_at)}"

    def _unassigned(self, gauges: GaugeValues, now: float) -> Iterator[str]:
        if self.progress is None or gauges.readers:
            self._assigned_at = now
        elif now - self._assigned_at >= NO_PARTITION_S:
            yield f"no partition has been assigned for {spoken(now - self._assigned_at)}"

    def _not_read(
        self, gauges: GaugeValues, behind: Mapping[Labels, int], now: float
    ) -> Iterator[tuple[str, bool]]:
        """Logs in which records wait and that are not read on, and whether a restart may help.

        While any log is read on it may not: the others wait for their turn, the longer the more there is.
        """
        reasons = {labels_of(each.partition): each.reason for each in self.paused}
        waiting: list[tuple[Labels, float]] = []
        for place, reader in gauges.readers.items():
            at = reader.position
            position, since = self._read.get(place, (-1, now))
            if at != position:
                self._advanced_at = now
            if not behind.get(place) or at != position:
                self._read[place] = at, now
            elif now - since >= NOT_READ_S:
                waiting.append((place, now - since))
        none_is_read = now - self._advanced_at >= NOT_READ_S
        turn_s = 0.0 if none_is_read else sum(behind.values()) / _TURN_RECORDS_PER_S
        found: list[tuple[str, bool]] = []
        for place, waits_s in waiting:
            if place not in reasons and waits_s < NOT_READ_S + turn_s:
                continue
            awaited = sorted(gauges.readers[place].awaited)
            why = reasons.get(place) or (f"waits for {', '.join(map(_named, awaited))}" if awaited else "")
            told = f"{_named(place)} is {behind[place]:,} behind and has not been read for {spoken(waits_s)}"
            paused = not reasons.keys().isdisjoint({place, *awaited})
            found.append(
                (f"{told}: {why}" if why else told, none_is_read and gauges.source_up and not paused)
            )
        for place in self._read.keys() - gauges.readers.keys():
            del self._read[place]
        yield from found[:_LOGS_NAMED]
        if len(found) > _LOGS_NAMED:
            yield f"and so are {len(found) - _LOGS_NAMED} more logs", found[-1][1]

    def _undelivered_s(self) -> float | None:
        if self.notifier is None:
            return 0.0
        if self._monotonic() - self._asked_store_at >= _ASK_STORE_EVERY_S:
            self._asked_store_at = self._monotonic()
            try:
                self._waiting = oldest_undelivered(self._database, self.notifier.receivers)
                self._store_problem = ""
            except StoreError as error:
                self._store_problem = type(error).__name__
        if self._store_problem:
            return None
        return 0.0 if self._waiting is None else max(self._clock.now() - self._waiting.created_at, 0.0)

    def _undelivered(self, waited_s: float | None) -> Iterator[str]:
        if waited_s is None:
            yield "the store does not answer"
        elif waited_s >= UNDELIVERED_S and self._waiting is not None:
            to = f" for {self._waiting.receiver}" if self._waiting.receiver else ""
            why = f" ({reason_code(self._waiting.reason)})" if self._waiting.reason else ""
            yield f"an alert{to} has waited for {spoken(waited_s)}{why}"

    def _refused(self) -> Iterator[str]:
        if self.notifier is None:
            return
        with suppress(StoreError):  # which is told of anyway
            yield from self.refusals.causes(self.notifier.parked)


def _named(place: Labels) -> str:
    return f"{place[0]}[{place[1]}]"
