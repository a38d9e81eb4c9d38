"""Exceptions that pass through a model's call and are no fault of the model."""

from __future__ import annotations


class Interruption(BaseException):
    """Raised from outside while a model's call runs, such as by a signal: no failure of the model."""
