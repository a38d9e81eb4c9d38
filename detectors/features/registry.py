"""Every family of features. A new one is a new file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from detectors.features import book, flows, orders, pulled_orders, returns, sequences, time_gaps
from detectors.features.family import Family

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.stem: family
        for family in (
            *returns.FAMILIES,
            *flows.FAMILIES,
            *book.FAMILIES,
            *time_gaps.FAMILIES,
            *orders.FAMILIES,
            *pulled_orders.FAMILIES,
            *sequences.FAMILIES,
        )
    }
)
"""By stem."""
