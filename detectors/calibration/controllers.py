"""Controllers that correct depths until exceedances come as often as they should.

A depth is the logarithm of a rarity (of 1 / probability, or of a return period). Each of a few knots has a
correction, which decays as expected exceedances fall due and rises when one is observed; the instrument's
and the pool's add up. This is integral control of a rate, as in adaptive conformal inference (I. Gibbs and
E. Candes, "Adaptive conformal inference under distribution shift", 2021), at several depths at once.
"""

from __future__ import annotations

from detectors.kernels import kernel

_LEAST_DISTANCE = 0.05  # between the bounds of neighbouring knots, so that they stay in order


@kernel
def place_bounds(anchor, knots, own, pooled, bounds):  # type: ignore[no-untyped-def]
    """Fill in where each knot lies on the scale of raw depths, strictly increasing."""
    previous = anchor
    for j in range(knots.shape[0]):
        previous = max(knots[j] + own[j] + pooled[j], previous + _LEAST_DISTANCE)
        bounds[j] = previous


@kernel
def corrected(raw, anchor, knots, bounds):  # type: ignore[no-untyped-def]
    """The corrected depth: linear between knots, shifted by a constant beyond the last."""
    if raw <= anchor:
        return raw
    raw_before, before = anchor, anchor
    for j in range(knots.shape[0]):
        if raw < bounds[j]:
            return before + (raw - raw_before) / (bounds[j] - raw_before) * (knots[j] - before)
        raw_before, before = bounds[j], knots[j]
    return before + raw - raw_before


@kernel
def decay(correction, gain, expected, lowest):  # type: ignore[no-untyped-def]
    """The correction after this many expected exceedances."""
    return max(lowest, correction - gain * expected)


@kernel
def observe(correction, gain, highest):  # type: ignore[no-untyped-def]
    """The correction after an observed exceedance."""
    return min(highest, correction + gain)
