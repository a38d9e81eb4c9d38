"""The notional of trades."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.messages.batch import Kind

_TRADE = int(Kind.TRADE)


@kernel
def notional(
    kind: NDArray[np.int8], price: NDArray[np.float64], size: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Price times size on trades, NaN elsewhere.

    Parameters
    ----------
    kind, price, size
        int8[n], float64[n] and float64[n].
    out
        float64[n], output.
    """
    for i in range(kind.shape[0]):
        out[i] = price[i] * size[i] if kind[i] == _TRADE else np.nan
