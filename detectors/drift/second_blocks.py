"""One value per block of seconds: the mean, over the block's seconds, of each second's mean or sum.

A row belongs to the second in which it arrives; the caller gives that second, which never decreases unless
`set_back` says so, so a late row counts where it arrives. A second is closed by the series' first row in a
later second, a block by its first row in a later block; the passing of time alone closes nothing. Seconds
without rows give no value, and blocks without values are skipped: a night is not a drift to zero.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn

WILD = 1e100
"""Values beyond this size are skipped, like values that are not finite."""

_NONE = -1
_LAYOUT = {
    "second": SlotColumn(np.int64, _NONE),
    "sum": SlotColumn(np.float64),
    "n": SlotColumn(np.int64),
    "block": SlotColumn(np.int64, _NONE),
    "block_sum": SlotColumn(np.float64),
    "block_n": SlotColumn(np.int64),
}


@kernel
def _close(  # type: ignore[no-untyped-def]
    series,
    second,
    value,
    block_s,
    summed,
    at,
    total,
    n,
    block,
    block_total,
    block_n,
    out_row,
    out_value,
):
    count = 0
    for i in range(series.shape[0]):
        v = value[i]
        if not abs(v) <= WILD:
            continue
        s = series[i]
        if second[i] > at[s]:
            if n[s] > 0:
                block_total[s] += total[s] if summed else total[s] / n[s]
                block_n[s] += 1
            total[s], n[s], at[s] = 0.0, 0, second[i]
            now = second[i] // block_s
            if now > block[s]:
                if block_n[s] > 0:
                    out_row[count] = i
                    out_value[count] = block_total[s] / block_n[s]
                    count += 1
                block_total[s], block_n[s], block[s] = 0.0, 0, now
        total[s] += v
        n[s] += 1
    return count


class Blocks:
    """The open second and the open block of many series.

    Parameters
    ----------
    block_s
        Seconds in a block.
    summed
        True if a second's value is the sum of its rows (a count), else it is their mean.

    Examples
    --------
    >>> blocks = Blocks(1, summed=False)
    >>> blocks.grow(1)
    >>> one = np.zeros(4, np.int32)
    >>> rows, values = blocks.step(one, np.array([7, 7, 8, 9]), np.array([1.0, 3.0, 5.0, 6.0]))
    >>> rows.tolist(), values.tolist()
    ([2, 3], [2.0, 5.0])
    """

    def __init__(self, block_s: int, *, summed: bool) -> None:
        self._block_s = block_s
        self._summed = summed
        self._arrays = SlotArrays(_LAYOUT)

    def grow(self, n_series: int) -> None:
        """Make room for `n_series` series."""
        self._arrays.grow(n_series)

    def step(
        self, series: NDArray[np.int32], second: NDArray[np.int64], value: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Take m rows in order.

        Parameters
        ----------
        series
            int32[m], the series of each row.
        second
            int64[m], not negative, never decreasing.
        value
            float64[m]; rows whose value is not finite, or beyond `WILD`, are skipped.

        Returns
        -------
        rows : intp[k]
            The rows that closed a block, ascending.
        values : float64[k]
            The values of these blocks.
        """
        rows, values = np.empty(len(series), np.intp), np.empty(len(series))
        a = self._arrays
        count = _close(
            np.ascontiguousarray(series),
            np.ascontiguousarray(second),
            np.ascontiguousarray(value),
            self._block_s,
            self._summed,
            a["second"],
            a["sum"],
            a["n"],
            a["block"],
            a["block_sum"],
            a["block_n"],
            rows,
            values,
        )
        return rows[:count], values[:count]

    def add(self, series: int, amount: float) -> None:
        """Add an amount that has no row to the open second, if there is one."""
        if self._arrays["n"][series] > 0 and math.isfinite(amount):
            self._arrays["sum"][series] += amount

    def set_back(self, second: int) -> None:
        """Let the open seconds and blocks go on from an earlier second: the time that was reached was wrong.

        Parameters
        ----------
        second
            The rows that follow are of this second or a later one.
        """
        n, arrays = self._arrays.n_slots, self._arrays
        for name, latest in (("second", second), ("block", second // self._block_s)):
            np.minimum(arrays[name][:n], latest, out=arrays[name][:n])

    def forget(self, series: int) -> None:
        """Make one series as it was before its first row."""
        self._arrays.forget(series)

    def state(self) -> State:
        """An exact copy of the state."""
        return self._arrays.state()

    def restore(self, state: State) -> None:
        """Continue from a copy."""
        self._arrays.restore(state)
