"""Draws which anomalies are planted, when, and in which instruments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.simulator.anomalies import KINDS
from streamer.sources.simulator.anomaly import Anomaly
from streamer.sources.simulator.instruments import Spec
from streamer.sources.simulator.sessions import TradingSession

_WARM_UP_SHARE = 0.3
_LONGEST_WARM_UP_S = 600
_LAST_S = 90  # after the last anomaly, so that it can end and be detected
_APART_S = 180  # between two anomalies of one instrument


def draw_anomalies(
    specs: Sequence[Spec], session: TradingSession, per_kind: int, rng: np.random.Generator
) -> tuple[Anomaly, ...]:
    """Draw the anomalies of a run, spread evenly over the time after the detectors' warm-up.

    Parameters
    ----------
    specs
        The instruments.
    session
        When the market is open.
    per_kind
        How often every kind is planted.
    rng
        Its own random generator.

    Returns
    -------
    tuple of Anomaly
        By their beginning.
    """
    seconds = session.seconds
    kinds = [kind for _ in range(per_kind) for kind in rng.permutation(sorted(KINDS)).tolist()]
    first = min(seconds * _WARM_UP_SHARE, _LONGEST_WARM_UP_S)
    step = (seconds - _LAST_S - first) / max(len(kinds), 1)
    busiest = [spec.symbol for spec in sorted(specs, key=lambda spec: -spec.activity)]
    free_at = dict.fromkeys(busiest, 0.0)
    anomalies = []
    for number, kind in enumerate(kinds):
        at = first + (number + rng.uniform(0.1, 0.9)) * step
        candidates = busiest[: KINDS[kind].among]
        free = [symbol for symbol in candidates if free_at[symbol] <= at]
        # if none is free, the one that is free soonest
        symbol = str(rng.choice(free)) if free else min(candidates, key=free_at.__getitem__)
        start_ns = session.start_ns + int(at * NS_PER_SECOND)
        lasts_s = KINDS[kind].lasts_s
        free_at[symbol] = at + lasts_s + _APART_S
        anomalies.append(Anomaly(kind, symbol, start_ns, start_ns + int(lasts_s * NS_PER_SECOND)))
    return tuple(anomalies)
