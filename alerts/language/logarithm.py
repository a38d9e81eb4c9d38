"""The natural logarithm, the one function whose last bit could depend on how it is computed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from alerts.kernels import kernel


def logarithm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm of every value; NaN where there is none.

    numpy has several ways to compute it and chooses by the processor and the array's layout. This
    takes one value after the other through the C library, so that a value has the same logarithm
    bit for bit, whatever stands beside it.

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
