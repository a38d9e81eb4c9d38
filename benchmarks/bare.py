"""The bare loop over River: decode, three features, half-space trees that score and learn, and nothing else.

It needs msgspec and River alone, so that peers can do the very same work in an environment of their own.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from river.anomaly import HalfSpaceTrees

PARAMS = {"n_trees": 10, "height": 8, "window_size": 250, "seed": 7}


class _Message(msgspec.Struct, gc=False):
    s: str = ""
    e: str = "bookTicker"
    T: int = 0
    p: str = "0"
    q: str = "0"
    b: msgspec.Raw = msgspec.Raw()  # a text in a quote, and in a depth update lists that nobody looks at
    a: msgspec.Raw = msgspec.Raw()


class _Envelope(msgspec.Struct, gc=False):
    data: _Message = msgspec.field(default_factory=lambda: _Message(e="none"))


class Work:
    """What is done with each event, and the sum of the scores, which tells whether it was done right.

    River builds an instrument's trees with its first event, in some 25 ms. That is no part of the loop: all
    are made before, by copying one.

    Parameters
    ----------
    symbols
        The instruments.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        model = HalfSpaceTrees(**PARAMS)
        model.learn_one({"move": 0.5, "notional": 0.5, "gap": 0.5})
        made = pickle.dumps(model)
        self._models: dict[str, HalfSpaceTrees] = {name: pickle.loads(made) for name in symbols}
        self._last: dict[str, tuple[float, int]] = {}
        self._spread: dict[str, float] = {}
        self._decode = msgspec.json.Decoder(_Envelope).decode
        self.checksum = 0.0
        self.events = 0

    def __call__(self, value: bytes) -> float:
        """One event; its score, 0 where it has none."""
        self.events += 1
        event = self._decode(value).data
        if event.e != "trade":
            if event.e == "bookTicker":
                self._spread[event.s] = float(bytes(event.a)[1:-1]) - float(bytes(event.b)[1:-1])
            return 0.0
        price, at = float(event.p), event.T
        before, then = self._last.get(event.s, (price, at))
        self._last[event.s] = (price, at)
        move = math.log(price / before) * 1e4
        notional = math.log1p(price * float(event.q))
        gap = float(max(at - then, 0))
        x = {
            "move": 0.5 + 0.5 * move / (1 + abs(move)),
            "notional": notional / (1 + notional),
            "gap": gap / (1 + gap),
        }
        model = self._models[event.s]
        score: float = model.score_one(x)
        model.learn_one(x)
        self.checksum += score
        return score


@dataclass(frozen=True, slots=True)
class Looped:
    """Events a second of the loop, and the sum of its scores."""

    rate: float
    checksum: float


def bare(values: Sequence[bytes], symbols: Sequence[str]) -> Looped:
    """The loop over values in memory."""
    work = Work(symbols)
    began = time.perf_counter()
    for value in values:
        work(value)
    return Looped(len(values) / (time.perf_counter() - began), work.checksum)


def symbols_of(values: Sequence[bytes]) -> list[str]:
    """The instruments that have trades among these values, in order of appearance."""
    decode = msgspec.json.Decoder(_Envelope).decode
    found: dict[str, None] = {}
    for value in values:
        if b'"trade"' in value:
            found.setdefault(decode(value).data.s)
    return list(found)
