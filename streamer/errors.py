"""Errors that a user can act on: one line that says what is wrong and what to do."""

from __future__ import annotations


class TapewatchError(Exception):
    r"""A problem outside the program; shown as one line, never as a traceback.

    Parameters
    ----------
    problems
        What is wrong; several are shown one a line.

    Examples
    --------
    >>> TapewatchError("no broker", "no store").lines
    ('no broker', 'no store')
    >>> print(TapewatchError("no broker", "no store"))
    no broker
    no store
    """

    exit_code = 1

    def __init__(self, *problems: str) -> None:
        self.lines = problems
        """Each problem; texts of events or of a broker in it may have line breaks of their own."""
        super().__init__("\n".join(problems))


class UsageError(TapewatchError):
    """A wrong command line or configuration."""

    exit_code = 2
