"""The error that a receiver cannot be built."""

from __future__ import annotations


class ReceiverError(ValueError):
    """A receiver cannot work as it is configured; the message says why."""
