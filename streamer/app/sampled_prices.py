"""Finds prices of one instrument that differ by a power of ten: a scale that was forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10

from streamer.app.sampled_events import SampledEvents
from streamer.messages.batch import Instrument

_NEAR = 0.05  # how close the logarithm of a ratio is to a whole number: within 12 %
_TOLD = 2  # instruments of one topic that are named


def price_problems(samples: Mapping[str, SampledEvents]) -> dict[str, tuple[str, ...]]:
    """Prices that are off by a power of ten against others of their instrument.

    Parameters
    ----------
    samples
        By topic.

    Returns
    -------
    dict
        By topic, what is off; the topic whose prices are higher is told.

    Examples
    --------
    >>> acme = Instrument("here", "ACME")
    >>> trades = SampledEvents("", prices={(acme, "trade price"): 9_990.0})
    >>> quotes = SampledEvents("", prices={(acme, "quote bid_price"): 100.0})
    >>> price_problems({"trades": trades, "quotes": quotes})["trades"][0][:72]
    'wrong_scale: trade price of ACME is 9,990, 100 times its quote bid_price'
    """
    by_instrument: dict[Instrument, list[tuple[str, str, float]]] = {}
    for topic, sample in samples.items():
        for (instrument, what), median in sample.prices.items():
            by_instrument.setdefault(instrument, []).append((topic, what, median))
    told: dict[str, list[str]] = {}
    for instrument, found in by_instrument.items():
        for topic, what, median in found:
            smaller = [(other, log10(median / other[2])) for other in found if other[2] < median]
            off = [(other, power) for other, power in smaller if _is_power(power)]
            if off:
                (topic_there, what_there, there), power = off[0]
                factor = 10 ** round(power)
                told.setdefault(topic, []).append(
                    f"wrong_scale: {what} of {instrument.symbol} is {median:,.6g}, {factor:,} times its "
                    f"{what_there} in {topic_there} ({there:,.6g}): give one of them a scale, such as "
                    f"`{{path: …, scale: {1 / factor:g}}}`"
                )
    return {topic: tuple(lines[:_TOLD]) for topic, lines in told.items()}


def _is_power(power: float) -> bool:
    return round(power) >= 1 and abs(power - round(power)) < _NEAR
