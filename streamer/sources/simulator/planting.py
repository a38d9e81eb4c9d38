"""Which anomalies are planted, when, and in what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.simulator.anomalies import KINDS
from streamer.sources.simulator.anomaly import Anomaly
from streamer.sources.simulator.instruments import Spec

_WARM_UP_SHARE = 0.3
_LONGEST_WARM_UP_S = 600
_LAST_S = 90  # what comes last has so long to end and to be seen
_APART_S = 180  # between two anomalies of one instrument


def plant(
    specs: Sequence[Spec], start_ns: int, seconds: int, each: int, rng: np.random.Generator
) -> tuple[Anomaly, ...]:
    """Draw the anomalies of a run, evenly over time behind a stretch that detectors warm up on.

    Parameters
    ----------
    specs
        The instruments.
    start_ns, seconds
        When the market opens, and how long it runs.
    each
        How often every kind is planted.
    rng
        A source of chance of its own.

    Returns
    -------
    tuple of Anomaly
        In the order they begin.
    """
    kinds = [kind for _ in range(each) for kind in rng.permutation(sorted(KINDS)).tolist()]
    first = min(seconds * _WARM_UP_SHARE, _LONGEST_WARM_UP_S)
    step = (seconds - _LAST_S - first) / max(len(kinds), 1)
    busiest = [spec.symbol for spec in sorted(specs, key=lambda spec: -spec.activity)]
    free_at = dict.fromkeys(busiest, 0.0)
    found = []
    for number, kind in enumerate(kinds):
        at = first + (number + rng.uniform(0.1, 0.9)) * step
        able = busiest[: KINDS[kind].among]
        free = [symbol for symbol in able if free_at[symbol] <= at]
        # where all are taken, the one that has been left in peace the longest
        symbol = str(rng.choice(free)) if free else min(able, key=lambda each: free_at[each])
        begins = start_ns + int(at * NS_PER_SECOND)
        lasts = KINDS[kind].lasts_s
        free_at[symbol] = at + lasts + _APART_S
        found.append(Anomaly(kind, symbol, begins, begins + int(lasts * NS_PER_SECOND)))
    return tuple(found)
