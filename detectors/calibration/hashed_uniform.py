"""Uniform numbers in (0, 1), hashed from an instrument and its event's number: a replay draws the same."""

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xFF51AFD7ED558CCD)
_SECOND = np.uint64(0xC4CEB9FE1A85EC53)
_HALF = np.uint64(33)
_TO_53_BITS = np.uint64(11)
_UNIT = 1.0 / 9007199254740992.0


@kernel
def hashed_uniform(instrument, number, level):  # type: ignore[no-untyped-def]
    # The finaliser of MurmurHash3 (A. Appleby, public domain) over the three numbers, twice: after one
    # round, neighbouring numbers are still correlated.
    bits = np.uint64(instrument) * _GOLDEN + np.uint64(number) * _FIRST + np.uint64(level + 1) * _SECOND
    for _ in range(2):
        bits = (bits ^ (bits >> _HALF)) * _FIRST
        bits = (bits ^ (bits >> _HALF)) * _SECOND
        bits = bits ^ (bits >> _HALF)
    return (np.float64(bits >> _TO_53_BITS) + 0.5) * _UNIT
