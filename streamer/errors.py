"""Errors that a user can act on: one line that says what is wrong and what to do."""

from __future__ import annotations


class TapewatchError(Exception):
    """A problem outside the program; shown as one line, never as a traceback."""

    exit_code = 1


class UsageError(TapewatchError):
    """A wrong command line or configuration."""

    exit_code = 2
