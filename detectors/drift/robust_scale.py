"""Location and scale of a reference, robust to long tails."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MAD_TO_SD = 1.4826  # for a normal distribution
_MEAN_DEVIATION_TO_SD = 1.2533
_OF_CONSTANT = 0.05  # the scale of a constant, relative to its value
_LEAST = 1e-100  # the scale of a constant zero: any other value is far away, but finite in this unit


def middle_and_scale(reference: NDArray[np.float64], floor: float) -> tuple[float, float]:
    """The median, and the median absolute deviation on the scale of a standard deviation.

    If more than half of the values are equal the scale is the mean absolute deviation instead, and for a
    constant a twentieth of its size. It is never less than `floor`, and never zero.

    Parameters
    ----------
    reference
        float64[n], finite, n at least 1.
    floor
        A lower limit of the scale.

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
        scale = _OF_CONSTANT * abs(middle)
    return middle, max(scale, floor, _LEAST)
