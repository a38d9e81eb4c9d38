"""The error that a receiver cannot be built."""

from __future__ import annotations


class ReceiverError(ValueError):
    """A receiver cannot work as it is configured.

    Parameters
    ----------
    message
        Why not, and what to do.
    option
        The path of the setting at fault, below the receiver's kind; empty where it is none in particular.
    passing
        Whether it may pass while the configuration stays as it is.

    Examples
    --------
    >>> ReceiverError("no such file: ca.pem", "ca").option
    ('ca',)
    """

    def __init__(self, message: str, *option: str, passing: bool = False) -> None:
        super().__init__(message)
        self.option = option
        self.passing = passing
