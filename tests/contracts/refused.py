"""Runs a contract's check on something that is registered wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

FAILURES = (AssertionError, pytest.fail.Exception)


@contextmanager
def refused(because: type[Exception] | None = None) -> Iterator[None]:
    """Expects that the check inside fails, by its own assertion or with the error that is named."""
    try:
        yield
    except FAILURES:
        if because is None:
            return
        raise
    except Exception as error:
        if because is not None and isinstance(error, because):
            return
        raise
    pytest.fail("the contract accepts what is wrong")
