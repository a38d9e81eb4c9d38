"""Tells people of partitions that are not read on: at once, and each hour as long as that lasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from alerts.clock import Clock
from streamer.messages.records import Partition, PausedPartition
from streamer.store.database import Database
from streamer.store.service_alerts import partition_paused, raise_service_alert

_AGAIN_AFTER_S = 3_600.0

_log = structlog.get_logger(__name__)


class PausedPartitionAlerts:
    """Raises a service alert for each paused partition, and writes it to the log.

    Parameters
    ----------
    database
        The open store.
    clock
        Wall-clock time.
    raised
        Called after new alerts are in the store.
    """

    def __init__(self, database: Database, clock: Clock, raised: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._raised = raised
        self._told_at: dict[tuple[Partition, int, str], float] = {}

    def tell(self, paused: Sequence[PausedPartition]) -> None:
        """Tell of those that nobody was told of within the last hour; cheap where there are none."""
        if not paused:
            self._told_at.clear()
            return
        now = time.monotonic()
        by_key = {(each.partition, each.offset, each.reason): each for each in paused}
        self._told_at = {key: at for key, at in self._told_at.items() if key in by_key}
        due = [
            key for key in by_key if key not in self._told_at or now - self._told_at[key] >= _AGAIN_AFTER_S
        ]
        for key in due:
            self._told_at[key] = now
            self._raise(by_key[key])
        if due:
            self._raised()

    def _raise(self, paused: PausedPartition) -> None:
        _log.error(
            "a partition is not read on",
            topic=paused.partition.topic,
            partition=paused.partition.partition,
            offset=paused.offset,
            cause=paused.cause,
            remedy=paused.remedy,
        )
        now = self._clock.now()
        with self._database.write() as connection:
            raise_service_alert(connection, partition_paused(paused, now), now)
