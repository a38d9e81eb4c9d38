"""Controllers: what is asked for at some depths is held against what came, and depths are corrected.

A depth is the logarithm of a rarity (of 1/chance, or of a time). At each of a few knots a correction
falls as expected exceedances pass and rises when one comes; an instrument's own and the pool's add
up. It is integral control of a rate, as in adaptive conformal inference (I. Gibbs and E. Candes,
"Adaptive conformal inference under distribution shift", 2021), at several depths at once.
"""

from __future__ import annotations

from detectors.kernels import kernel

_APART = 0.05


@kernel
def place_bounds(anchor, knots, own, pooled, bounds):  # type: ignore[no-untyped-def]
    """Where each knot lies on the raw scale; always rising."""
    previous = anchor
    for j in range(knots.shape[0]):
        previous = max(knots[j] + own[j] + pooled[j], previous + _APART)
        bounds[j] = previous


@kernel
def corrected(raw, anchor, knots, bounds):  # type: ignore[no-untyped-def]
    """The depth that a raw one stands for: straight lines through the knots, a shift beyond the last."""
    if raw <= anchor:
        return raw
    raw_before, before = anchor, anchor
    for j in range(knots.shape[0]):
        if raw < bounds[j]:
            return before + (raw - raw_before) / (bounds[j] - raw_before) * (knots[j] - before)
        raw_before, before = bounds[j], knots[j]
    return before + raw - raw_before


@kernel
def expect(correction, gain, expected, lowest):  # type: ignore[no-untyped-def]
    """The correction after so many expected exceedances."""
    return max(lowest, correction - gain * expected)


@kernel
def came(correction, gain, highest):  # type: ignore[no-untyped-def]
    """The correction after one that came."""
    return min(highest, correction + gain)
