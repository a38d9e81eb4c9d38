"""Medians of a few values that are kept sorted, for kernels."""

from __future__ import annotations

from detectors.kernels import kernel


@kernel
def insert(ordered, n, value):  # type: ignore[no-untyped-def]
    """Insert `value` into the first `n` of `ordered`, which are sorted."""
    place = n
    while place > 0 and ordered[place - 1] > value:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = value


@kernel
def middle(ordered, n):  # type: ignore[no-untyped-def]
    """The median of the first `n` of `ordered`, which are sorted; 0 if `n` is 0."""
    if n == 0:
        return 0.0
    if n % 2:
        return ordered[n // 2]
    return ordered[n // 2 - 1] / 2.0 + ordered[n // 2] / 2.0
