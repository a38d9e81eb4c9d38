"""Streams of scores whose kind is known: eight continuous, two tied, and many young instruments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EVERY_S = 15.0
DAY = int(86_400 / EVERY_S)


@dataclass(frozen=True, slots=True)
class Stream:
    """Scores of one or more instruments in the order they come."""

    name: str
    slot: NDArray[np.int32]
    clock: NDArray[np.int64]
    score: Floats


def _autoregressive(chance: np.random.Generator, n: int, memory: float) -> Floats:
    steps = chance.standard_normal(n) * np.sqrt(1 - memory**2)
    out = np.empty(n)
    at = chance.standard_normal()
    for i in range(n):
        at = memory * at + steps[i]
        out[i] = at
    return out


def _garch(chance: np.random.Generator, n: int) -> Floats:
    noise = chance.standard_normal(n)
    out = np.empty(n)
    variance = 1.0
    for i in range(n):
        out[i] = np.sqrt(variance) * noise[i]
        variance = 0.02 + 0.08 * out[i] ** 2 + 0.9 * variance
    np.abs(out, out)
    return out


def _season(chance: np.random.Generator, n: int) -> Floats:
    scale: Floats = np.exp(0.5 * np.log(5) * np.sin(2 * np.pi * np.arange(n) / DAY))
    return chance.standard_normal(n) * scale


def _drift(chance: np.random.Generator, n: int) -> Floats:
    return chance.standard_normal(n) + np.linspace(0, 10, n)


def _shift(chance: np.random.Generator, n: int) -> Floats:
    return chance.standard_normal(n) * np.where(np.arange(n) < n // 2, 1.0, 3.0)


def _one_digit(chance: np.random.Generator, n: int) -> Floats:
    drawn: Floats = np.abs(chance.standard_t(3, n))
    return drawn.round(1)


KINDS: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda chance, n: chance.standard_normal(n),
    "Student t, 3 degrees": lambda chance, n: chance.standard_t(3, n),
    "autoregressive, 0.95": lambda chance, n: _autoregressive(chance, n, 0.95),
    "autoregressive, 0.999": lambda chance, n: _autoregressive(chance, n, 0.999),
    "GARCH": _garch,
    "a day's season, 5 times in scale": _season,
    "slow drift": _drift,
    "scale 3 times from the middle on": _shift,
    "Poisson counts (tied)": lambda chance, n: chance.poisson(2, n).astype(float),
    "Student t to one digit (tied)": _one_digit,
}


def streams(n: int, seed: int = 1) -> Iterator[Stream]:
    """One stream of `n` scores of each kind, at random times, and 500 instruments of `n` / 150 each."""
    for number, (name, draw) in enumerate(KINDS.items()):
        chance = np.random.default_rng((seed, number))
        yield _stream(name, np.zeros(n, np.int32), chance, draw(chance, n), EVERY_S)
    chance = np.random.default_rng((seed, len(KINDS)))
    many, each = 500, max(n // 150, 1)
    slot = np.tile(np.arange(many, dtype=np.int32), each)
    scale = np.exp(chance.normal(0, 1, many))[slot]
    score = scale * (3 + chance.standard_t(4, many * each))
    yield _stream(f"{many} young instruments", slot, chance, score, EVERY_S * 10 / many)


def _stream(
    name: str, slot: NDArray[np.int32], chance: np.random.Generator, score: Floats, every_s: float
) -> Stream:
    times = np.cumsum(chance.exponential(every_s, len(score)))
    return Stream(name, slot, (times * 1e9).astype(np.int64), score)
