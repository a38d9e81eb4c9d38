"""How much is measured: all of it for figures, little of it to see that the work is done right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the workloads.

    Parameters
    ----------
    events
        Of a workload.
    market_symbols
        Instruments of the made market.
    peer_events
        Of what goes through River's own models, and through peers.
    rounds
        How often runs are taken in turn.
    latency_s
        How long events are sent for the latency.
    warm_s
        How long before that: the group is being joined, and nothing counts.
    rate
        How many of them a second.
    symbols
        Instruments that growth is measured at.
    rules, detectors
        Numbers of them.
    growth_events
        Events a run while these grow.
    many
        Instruments for memory a symbol.
    events_each
        Trades of each of those: enough to fill a model's first window.
    new_symbols
        How many come into a running market.
    pauses
        Instruments at which checkpoints are looked at.
    pause_s
        How long at most, each time.
    cold
        Whether a start with nothing compiled is taken: it takes up to a minute.
    """

    events: int
    market_symbols: int
    peer_events: int
    rounds: int
    latency_s: int
    warm_s: int
    rate: int
    symbols: tuple[int, ...]
    rules: tuple[int, ...]
    detectors: tuple[int, ...]
    growth_events: int
    many: int
    events_each: int
    new_symbols: int
    pauses: tuple[int, ...]
    pause_s: float
    cold: bool


FULL = Scale(
    events=1_000_000,
    market_symbols=200,
    peer_events=100_000,
    rounds=5,
    latency_s=60,
    warm_s=5,
    rate=10_000,
    symbols=(10, 100, 1_000, 10_000),
    rules=(1, 10, 100),
    detectors=(1, 4),
    growth_events=300_000,
    many=10_000,
    events_each=300,
    new_symbols=2_000,
    pauses=(1_000, 10_000),
    pause_s=20.0,
    cold=True,
)

QUICK = Scale(
    events=20_000,
    market_symbols=8,
    peer_events=6_000,
    rounds=1,
    latency_s=2,
    warm_s=1,
    rate=2_000,
    symbols=(10, 100),
    rules=(1, 10),
    detectors=(1, 4),
    growth_events=4_000,
    many=200,
    events_each=60,
    new_symbols=60,
    pauses=(100,),
    pause_s=10.0,
    cold=False,
)
