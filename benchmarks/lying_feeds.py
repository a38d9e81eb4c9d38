"""Feeds whose times lie in known ways, with what each event's instrument's clock really is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

INSTRUMENTS = 20
S = 1_000_000_000
A = 60 * S
"""`max_ahead`."""

BEGIN = 1_700_000_000 * S
HOUR, DAY, YEAR = 3_600 * S, 86_400 * S, 365 * 86_400 * S
_EVENTS_A_SECOND = 10


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a feed, in a record of its own.

    Parameters
    ----------
    at
        When it comes, ns: the passing of real time.
    instrument
        Its instrument's number.
    t, record_time
        What it and its record say, ns; None for a record without a time.
    clock
        What its instrument's clock should be; None where nobody can say, which is of the lies themselves.
    """

    at: int
    instrument: int
    t: int
    record_time: int | None
    clock: int | None


@dataclass(frozen=True, slots=True)
class LyingFeed:
    """A feed by name, its events in the order in which they come."""

    name: str
    events: tuple[Told, ...]


def feeds(seconds: int = 1_800) -> Iterator[LyingFeed]:
    """Every feed, each of so many seconds; lies begin after a third of them."""
    third = BEGIN + seconds // 3 * S
    yield LyingFeed("honest", tuple(_honest(seconds)))
    yield LyingFeed(
        "one event an hour ahead, by its record too", tuple(_one_lie(seconds, third, HOUR, file=False))
    )
    yield LyingFeed("one event of 2036 in a file", tuple(_one_lie(seconds, third, 12 * YEAR, file=True)))
    yield LyingFeed("a day-old hour in between, records timed", tuple(_backfill(seconds, third, file=False)))
    yield LyingFeed("a day-old hour in between, in a file", tuple(_backfill(seconds, third, file=True)))
    burst = "an older tape at once, in a file, then live again"
    yield LyingFeed(burst, tuple(_burst(seconds, third)))
    yield LyingFeed("the end of daylight saving", tuple(_moved(_honest(seconds), third, -HOUR)))
    for liars in (1, 5, 10, 15, 19, 20):
        name = f"{liars} of {INSTRUMENTS} an hour ahead from some time on"
        yield LyingFeed(name, tuple(_liars(seconds, third, dict.fromkeys(range(liars), HOUR))))
    two = {0: HOUR, 1: HOUR, 2: HOUR, 3: 5 * HOUR, 4: 5 * HOUR}
    yield LyingFeed("two lying producers, an hour and five ahead", tuple(_liars(seconds, third, two)))
    silent = third + seconds // 6 * S
    lying = _liars(seconds, third, {0: HOUR})
    yield LyingFeed(
        "a liar that falls silent", tuple(each for each in lying if each.instrument or each.at < silent)
    )


def _honest(seconds: int) -> Iterator[Told]:
    for number in range(seconds * _EVENTS_A_SECOND):
        at = BEGIN + number * S // _EVENTS_A_SECOND
        yield Told(at, number * 7 % INSTRUMENTS, at, at, at)


def _one_lie(seconds: int, since: int, ahead: int, *, file: bool) -> Iterator[Told]:
    lied = False
    for each in _honest(seconds):
        told = replace(each, record_time=None) if file else each
        if each.at >= since and not lied:
            lied = True
            record_time = None if file else each.t + ahead
            told = replace(each, t=each.t + ahead, record_time=record_time, clock=None)
        yield told


def _backfill(seconds: int, since: int, *, file: bool) -> Iterator[Told]:
    for each in _honest(seconds):
        told = replace(each, record_time=None) if file else each
        yield told
        if each.at >= since:
            yield replace(told, t=each.t - DAY, clock=each.t)


def _burst(seconds: int, since: int) -> Iterator[Told]:
    """What no rule can tell from a log that went back, until it is there again."""
    honest = [replace(each, record_time=None) for each in _honest(seconds)]
    yield from (each for each in honest if each.at < since)
    for each in honest[: 3_600 * _EVENTS_A_SECOND]:
        yield replace(each, at=since, t=each.t - DAY, clock=since)
    yield from (each for each in honest if each.at >= since)


def _moved(events: Iterator[Told], since: int, by: int) -> Iterator[Told]:
    for each in events:
        moved = each.t + by
        yield (
            replace(each, t=moved, record_time=None, clock=moved)
            if each.at >= since
            else replace(each, record_time=None)
        )


def _liars(seconds: int, since: int, ahead: dict[int, int]) -> Iterator[Told]:
    for each in _honest(seconds):
        by = ahead.get(each.instrument, 0) if each.at >= since else 0
        yield replace(each, t=each.t + by, record_time=each.t + by, clock=None) if by else each
