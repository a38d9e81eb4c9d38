"""How much of what a log holds becomes dead letters, over the last minutes."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from alerts.plain_text import one_line
from streamer.serve.gauges import Labels

DEAD_WITHIN_S = 300.0
"""Over how long dead letters are compared with records."""

_FEWEST_DEAD = 3
_BUCKET_S = 10.0
_LOGS_NAMED = 3


@dataclass(slots=True)
class _Bucket:
    began_at: float
    records: int = 0
    dead: Counter[str] = field(default_factory=Counter)


class DeadShare:
    """Compares each log's dead letters with its records; counted on one thread, asked on others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[Labels, deque[_Bucket]] = {}

    def count(self, place: Labels, records: int, events: int, dead: Mapping[str, int], now: float) -> None:
        """Count a step.

        Parameters
        ----------
        place
            The log.
        records, events
            How many records it had, and how many events those gave: a record may hold several.
        dead
            Dead letters by reason.
        now
            Monotonic seconds.
        """
        many = max(records, events + sum(dead.values()))
        if not many:
            return
        with self._lock:
            buckets = self._logs.setdefault(place, deque())
            if not buckets or now - buckets[-1].began_at >= _BUCKET_S:
                buckets.append(_Bucket(now))
            buckets[-1].records += many
            buckets[-1].dead.update(dead)
            _drop_old(buckets, now)

    def causes(self, now: float) -> Iterator[str]:
        """The logs of which more than half are dead letters, with the most frequent reason.

        Examples
        --------
        >>> share = DeadShare()
        >>> share.count(("spot", "0"), 20, 0, {"bad_json": 19}, 100.0)
        >>> list(share.causes(130.0))
        ['19 of the last 20 records of spot[0] are dead letters, all bad_json']
        >>> list(share.causes(430.0))
        []
        """
        found: list[str] = []
        with self._lock:
            for place in list(self._logs):
                buckets = self._logs[place]
                _drop_old(buckets, now)
                if not buckets:
                    del self._logs[place]
                    continue
                records = sum(each.records for each in buckets)
                dead: Counter[str] = sum((each.dead for each in buckets), Counter())
                if dead.total() >= _FEWEST_DEAD and 2 * dead.total() > records:
                    found.append(_told(place, records, dead))
        yield from found[:_LOGS_NAMED]
        if len(found) > _LOGS_NAMED:
            yield f"and so it is with {len(found) - _LOGS_NAMED} more logs"


def _told(place: Labels, records: int, dead: Counter[str]) -> str:
    ((reason, _),) = dead.most_common(1)
    most = f"all {reason}" if len(dead) == 1 else f"most of them {reason}"
    return (
        f"{dead.total():,} of the last {records:,} records of {one_line(place[0])}[{place[1]}] are dead "
        f"letters, {most}"
    )


def _drop_old(buckets: deque[_Bucket], now: float) -> None:
    while buckets and now - buckets[0].began_at >= DEAD_WITHIN_S:
        buckets.popleft()
