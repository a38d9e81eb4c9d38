"""Where the middle of a reference is, and how wide it is, however long its tails are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MAD_TO_SD = 1.4826  # for a normal distribution
_MEAN_DEVIATION_TO_SD = 1.2533
_OF_LEVEL = 0.05  # a constant counts as this wide, relative to itself
_LEAST = 1e-100  # of a constant zero: whatever else comes is far away, and finite in this unit


def middle_and_scale(reference: NDArray[np.float64], floor: float) -> tuple[float, float]:
    """The median, and the median absolute deviation on the scale of a standard deviation.

    Where more than half of the values are equal it is the mean absolute deviation, and of a
    constant a twentieth of its size; never less than `floor`, and never zero.

    Parameters
    ----------
    reference
        float64[n], finite, n at least 1.
    floor
        The least width that counts.

    Examples
    --------
    >>> middle_and_scale(np.array([1.0, 2.0, 3.0, 4.0, 1000.0]), 0.0)
    (3.0, 1.4826)
    >>> middle_and_scale(np.full(9, 2.0), 0.0)
    (2.0, 0.1)
    """
    middle = float(np.median(reference))
    deviations = np.abs(reference - middle)
    scale = _MAD_TO_SD * float(np.median(deviations))
    if scale == 0:
        scale = _MEAN_DEVIATION_TO_SD * float(deviations.mean())
    if scale == 0:
        scale = _OF_LEVEL * abs(middle)
    return middle, max(scale, floor, _LEAST)
