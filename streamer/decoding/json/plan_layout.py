"""The layout of a plan's flat arrays."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from detectors.kernels import kernel

NUMBER, DECIMAL, INTEGER, TEXT, FLAG = range(5)
"""Types of fields."""

UNWANTED = -1
"""A key's target: a field (0 or more), this, or an object of the plan, encoded by `object_target`."""

KEY_WORD, KEY_SIZE, KEY_AT, KEY_TARGET, KEY_WIDTH = range(5)
FIRST_KEY, KEY_END, PARENT, OBJECT_WIDTH = range(4)
KIND, COLUMN, FIELD_WIDTH = range(3)

PRESENT, OTHER = 0, 1
"""The first two output columns; the fields' own follow."""


@kernel(error_model="numpy", forceinline=True)
def object_target(number):
    """The target of a key that leads to an object, from the object's number; and the reverse."""
    return -2 - number
