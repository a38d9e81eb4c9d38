"""How a plan's flat arrays are laid out."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from detectors.kernels import kernel

NUMBER, DECIMAL, INTEGER, TEXT, FLAG = range(5)
"""Types of fields."""

UNWANTED = -1
"""What a key leads to: a field from 0 on, this, or an object of the plan as `object_target` has it."""

KEY_WORD, KEY_SIZE, KEY_AT, KEY_TARGET, KEY_WIDTH = range(5)
FIRST_KEY, KEY_BEHIND, PARENT, OBJECT_WIDTH = range(4)
KIND, COLUMN, FIELD_WIDTH = range(3)

PRESENT, OTHER = 0, 1
"""The first columns of what is written; a field's own follow."""


@kernel(error_model="numpy", forceinline=True)
def object_target(number):
    """What a key leads to that is an object on the way to fields; the other way round too."""
    return -2 - number
