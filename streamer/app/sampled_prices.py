"""Finds prices of one instrument that differ by a power of ten: a scale that was forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

from alerts.plain_text import one_line
from streamer.app.sampled_events import SampledEvents, SampledPrices
from streamer.messages.batch import Instrument

_NEAR = 0.05  # how close the logarithm of a ratio is to a whole number: within 12 %
_TOLD = 2  # instruments of one topic that are named
_ENOUGH = 5  # prices on either side, fewer may each be a mistake of its own


@dataclass(frozen=True, slots=True)
class OddPrices:
    """What is off about a topic's prices: what fails it, and what may be a slip."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _SeenPrices:
    topic: str
    what: str
    preset: str | None
    prices: SampledPrices


def odd_prices(samples: Mapping[str, SampledEvents]) -> dict[str, OddPrices]:
    """Prices that are off by a power of ten against most others of their instrument.

    Parameters
    ----------
    samples
        By topic.

    Returns
    -------
    dict
        By topic; of two that contradict each other both are told.

    Examples
    --------
    >>> key = Instrument("here", "ACME"), "trade price"
    >>> here, there = (SampledEvents("", prices={key: SampledPrices(at, 9)}) for at in (9_990.0, 100.0))
    >>> found = odd_prices({"a": here, "b": there, "c": there})
    >>> list(found), found["a"].problems[0][:75]
    (['a'], 'wrong_scale: trade price of ACME is 9,990, 100 times its trade price in b (')
    """
    by_instrument: dict[Instrument, list[_SeenPrices]] = {}
    for topic, sample in samples.items():
        for (instrument, what), prices in sample.prices.items():
            if prices.median > 0:
                one = _SeenPrices(topic, what, sample.preset, prices)
                by_instrument.setdefault(instrument, []).append(one)
    problems: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    for instrument, seen in by_instrument.items():
        groups = _groups(seen)
        most = max(len(group) for group in groups)
        normal = [group for group in groups if len(group) == most]
        for group in groups:
            if len(groups) == 1 or (group in normal and len(normal) == 1):
                continue
            others = next(other for other in normal if other is not group)
            enough = all(sum(each.prices.count for each in part) >= _ENOUGH for part in (group, others))
            for each in group:
                told = (problems if enough else notes).setdefault(each.topic, [])
                told.append(_told(instrument, each, others[0], is_tie=len(normal) > 1))
    return {
        topic: OddPrices(tuple(problems.get(topic, ())[:_TOLD]), tuple(notes.get(topic, ())[:_TOLD]))
        for topic in samples
        if topic in problems or topic in notes
    }


def _groups(seen: Sequence[_SeenPrices]) -> list[list[_SeenPrices]]:
    """Those that differ from each other by powers of ten alone, by power; what fits none is left out."""
    families = []
    for base in seen:
        groups: dict[int, list[_SeenPrices]] = {}
        for each in seen:
            power = log10(each.prices.median / base.prices.median)
            if abs(power - round(power)) < _NEAR:
                groups.setdefault(round(power), []).append(each)
        families.append([groups[power] for power in sorted(groups)])
    return max(families, key=lambda family: sum(len(group) for group in family))


def _told(instrument: Instrument, odd: _SeenPrices, other: _SeenPrices, *, is_tie: bool) -> str:
    power = round(log10(odd.prices.median / other.prices.median))
    factor = 10 ** abs(power)
    times = f"{factor:,} times" if power > 0 else f"1/{factor:,} of"
    told = (
        f"wrong_scale: {odd.what} of {one_line(instrument.symbol)} is {odd.prices.median:,.6g}, {times} its "
        f"{other.what} in {other.topic} ({other.prices.median:,.6g})"
    )
    if is_tie:
        return f"{told}: one of the two is wrong; a mapping can give a field a `scale`"
    if odd.preset is not None:
        return f"{told}: the preset {odd.preset} takes prices as they are, so look at the producer"
    return f"{told}: give it a scale, such as `{{path: …, scale: {10.0**-power:g}}}`"
