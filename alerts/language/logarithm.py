"""The natural logarithm, the only function whose last bit could depend on how numpy computes it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from alerts.kernels import kernel


def logarithm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm of every value; NaN for values that are not positive.

    numpy chooses an algorithm by the processor and the array's layout. This calls the C library once per
    value, so that a value's logarithm is the same bit for bit in any array.

    Examples
    --------
    >>> logarithm(np.array([1.0, 0.0, -1.0]))
    array([ 0., nan, nan])
    """
    flat = np.ascontiguousarray(values, np.float64)
    result = np.empty_like(flat)
    _logarithms(flat, result)
    return result


@kernel
def _logarithms(values: NDArray[np.float64], result: NDArray[np.float64]) -> None:
    for i in range(len(values)):
        result[i] = math.log(values[i]) if values[i] > 0.0 else math.nan
