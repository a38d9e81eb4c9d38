"""Instruments that are in several logs, which keep their state apart, and the join that would change that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain

from alerts.counting import counted
from alerts.plain_text import one_line
from streamer.messages.batch import Instrument
from streamer.messages.logs import ALL, Log
from streamer.sources.join_settings import JoinSettings

_TOLD_LOGS, _TOLD_NAMES = 4, 10


@dataclass(frozen=True, slots=True)
class SharedInstruments:
    """Logs that have instruments in common.

    Parameters
    ----------
    instruments
        Those that are in several of them, in order.
    logs
        Names of the logs that the first of them is in.
    join
        What folds them as one log.
    more
        Whether there may be more instruments of them.

    Examples
    --------
    >>> ours = (Instrument("xex", "ACME"), Instrument("xex", "BETA"))
    >>> print(SharedInstruments(ours, ("trades[0]", "orders[0]"), JoinSettings(topics=("trades", "orders"))))
    ACME of xex and 1 other instrument are in trades[0] and in orders[0]: what is known of an instrument in \
one log is not known in another, so its rules, silence and models see only a part. \
Write join: [trades, orders] below source, which makes one log of them
    """

    instruments: tuple[Instrument, ...]
    logs: tuple[str, ...]
    join: JoinSettings
    more: bool = False

    @property
    def written(self) -> str:
        """The join as it is written in a configuration; of very many names the first."""
        told, others = self.join.topics[:_TOLD_NAMES], len(self.join.topics) - _TOLD_NAMES
        names = f"[{', '.join((*told, f'and {others} more') if others > 0 else told)}]"
        return names if self.join.partitions == "each" else f"{{topics: {names}, partitions: all}}"

    def __str__(self) -> str:
        venue, symbol = self.instruments[0]
        others = len(self.instruments) - 1
        at_least = "at least " if self.more else ""
        who = f"{one_line(symbol)} of {one_line(venue)}" + (
            f" and {at_least}{counted(others, 'other instrument')} are" if others else " is"
        )
        where = " and in ".join(self.logs[:_TOLD_LOGS])
        return (
            f"{who} in {where}: what is known of an instrument in one log is not known in another, so its "
            f"rules, silence and models see only a part. Write join: {self.written} below source, which "
            "makes one log of them"
        )


def shared_instruments(
    found: Mapping[Log, Collection[Instrument]],
    counts: Mapping[str, int],
    written_as: Mapping[str, Sequence[str]] | None = None,
    *,
    more: bool = False,
) -> list[SharedInstruments]:
    """Which logs have instruments in common.

    Parameters
    ----------
    found
        The instruments of each log.
    counts
        How many partitions each topic has: topics are joined by number only where they have equally many.
    written_as
        By file, the names and patterns of the join that it is in; others are written as they are.
    more
        Whether there may be more instruments.

    Returns
    -------
    list of SharedInstruments
        One for all topics that hang together.

    Examples
    --------
    >>> from streamer.messages.records import Partition
    >>> acme = Instrument("xex", "ACME")
    >>> logs = [Log.of(Partition(topic, "", number)) for topic, number in (("a", 0), ("b", 1), ("c", 0))]
    >>> found = shared_instruments({logs[0]: [acme], logs[1]: [acme], logs[2]: []}, {"a": 2, "b": 2, "c": 2})
    >>> [each.written for each in found]
    ['{topics: [a, b], partitions: all}']
    """
    by_instrument: dict[Instrument, list[Log]] = {}
    for log, instruments in found.items():
        for instrument in instruments:
            by_instrument.setdefault(instrument, []).append(log)
    several = {instrument: logs for instrument, logs in by_instrument.items() if len(logs) > 1}
    shared = []
    for topics in _hanging_together(
        {topic for log in logs for topic in log.topics} for logs in several.values()
    ):
        here = {
            instrument: logs for instrument, logs in several.items() if not topics.isdisjoint(logs[0].topics)
        }
        ordered = tuple(dict.fromkeys(topic for log in found for topic in log.topics if topic in topics))
        alike = len({counts.get(topic) for topic in ordered}) == 1 and all(
            _alike(logs) for logs in here.values()
        )
        names = chain.from_iterable((written_as or {}).get(topic, (topic,)) for topic in ordered)
        join = JoinSettings(topics=tuple(dict.fromkeys(names)), partitions="each" if alike else "all")
        instruments = tuple(sorted(here))
        logs = tuple(map(str, here[instruments[0]]))
        shared.append(SharedInstruments(instruments, logs, join, more))
    return shared


def place_of(topic: str, globs: Sequence[str]) -> int:
    """The place of a topic in a configuration, by the names and patterns of `source.topics`.

    Examples
    --------
    >>> sorted(["orders", "trades"], key=lambda topic: place_of(topic, ["trades", "*"]))
    ['trades', 'orders']
    """
    return next((at for at, glob in enumerate(globs) if fnmatchcase(topic, glob)), len(globs))


def _alike(logs: Sequence[Log]) -> bool:
    """Whether an instrument is in the same partition of each topic."""
    numbers = {log.key.partition for log in logs}
    return len(numbers) == 1 and ALL not in numbers


def _hanging_together(groups: Iterable[set[str]]) -> list[set[str]]:
    """Sets of topics, with those that have one in common as one set."""
    together: list[set[str]] = []
    for group in groups:
        touched = [each for each in together if not each.isdisjoint(group)]
        together = [each for each in together if each.isdisjoint(group)]
        together.append(group.union(*touched))
    return together
