"""Errors that a person can act on: one line that says what is wrong and what to do."""

from __future__ import annotations


class TapewatchError(Exception):
    """Something outside the program is not as it must be; shown as one line, never as a traceback."""

    exit_code = 1


class UsageError(TapewatchError):
    """A wrong command line or configuration."""

    exit_code = 2
