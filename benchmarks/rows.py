"""The rows of the table, in one place: what each is called, what it compares, what measures it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import (
    checkpoints,
    clients,
    from_broker,
    from_memory,
    growth,
    joined,
    latency,
    new_symbols,
    peers,
    replaying,
    river_trees,
    shares,
    start,
    symbol_memory,
)
from benchmarks.bench import Bench
from benchmarks.contest import Taken
from benchmarks.figures import Figure


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Parameters
    ----------
    letter
        What it is asked for by.
    title
        What it is about.
    runs
        Names of the runs of `benchmarks.runs` that it compares; all rows' are taken in turn together.
    measure
        Gives its figures.
    """

    letter: str
    title: str
    runs: Sequence[str]
    measure: Callable[[Bench, Taken], list[Figure]]


ROWS = (
    Row("a", "Full, from memory, one core, against the bare loop", from_memory.RUNS, from_memory.measure),
    Row("b", "the same against peers doing the bare loop's work", peers.RUNS, peers.measure),
    Row("c", "Full on a real broker, against Full from memory", from_broker.RUNS, from_broker.measure),
    Row("d", "the same against clients that merely read", clients.RUNS, clients.measure),
    Row("e", "compiled half-space trees against River's", (), river_trees.measure),
    Row("f", "what Full's time goes into", (), shares.measure),
    Row("g", "replay of a file, against Full from memory", replaying.RUNS, replaying.measure),
    Row("h", "from the producer's send to the webhook", (), latency.measure),
    Row("i", "memory a symbol", (), symbol_memory.measure),
    Row("j", "stall when a new symbol comes", (), new_symbols.measure),
    Row("k", "cost of growth", (), growth.measure),
    Row("l", "from the start to the first decision", (), start.measure),
    Row("m", "pauses of checkpoints", (), checkpoints.measure),
    Row("n", "topics joined to one log, against one topic", joined.RUNS, joined.measure),
)
