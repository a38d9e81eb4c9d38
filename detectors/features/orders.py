"""Rates of order and quote messages, and the ratio of fills to new orders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import FILL, NEW, ORDER, PARTIAL_FILL, QUOTE
from detectors.features.family import Family
from detectors.features.feature_rows import FeatureRows
from detectors.features.flows import rate, ratio
from detectors.features.windows import VERSION

_ORDERS = frozenset({ORDER})
_QUOTES = frozenset({QUOTE})


def _filled(rows: FeatureRows) -> NDArray[np.float64]:
    action = rows.field("action", _ORDERS)
    return np.where((action == FILL) | (action == PARTIAL_FILL), 1.0, np.nan)


def _entered(rows: FeatureRows) -> NDArray[np.float64]:
    return np.where(rows.field("action", _ORDERS) == NEW, 1.0, np.nan)


FAMILIES = (
    Family(
        stem="quote_rate",
        doc="quotes per second over the window",
        unit="per_second",
        shape="positive",
        fed_by=_QUOTES,
        needs=frozenset(),
        build=lambda window, banks: rate(window, banks, _QUOTES),
        version=VERSION,
    ),
    Family(
        stem="order_rate",
        doc="order messages (entries, changes, cancels, fills) per second over the window",
        unit="per_second",
        shape="positive",
        fed_by=_ORDERS,
        needs=frozenset({"action"}),
        build=lambda window, banks: rate(window, banks, _ORDERS),
        version=VERSION,
    ),
    Family(
        stem="fill_ratio",
        doc="fills over new orders in the window, NaN where there were no new ones",
        unit="ratio",
        shape="positive",
        fed_by=_ORDERS,
        needs=frozenset({"action"}),
        build=lambda window, banks: ratio(window, banks, _filled, _entered),
        version=VERSION,
    ),
)
