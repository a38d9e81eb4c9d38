"""Control inputs for detectors: people and the service decide them, and each log journals them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

ControlKind = Literal["quarantine", "lift"]


@dataclass(frozen=True, slots=True)
class ControlInput:
    """A detector is quarantined as a whole, or that is lifted.

    Parameters
    ----------
    number
        Its number in the store, from 1.
    kind
        ``quarantine`` or ``lift``.
    detector, version
        The detector; with a version it concerns that version alone.
    reason
        Why, for people.

    Examples
    --------
    >>> control = ControlInput(1, "quarantine", "tape", "5f1c", "it never returned")
    >>> ControlInput.parse(control.kind, control.data) == control
    True
    """

    number: int
    kind: ControlKind
    detector: str
    version: str
    reason: str

    @property
    def data(self) -> str:
        """What the journal keeps of it, beside its kind."""
        document = {name: value for name, value in asdict(self).items() if name != "kind"}
        return json.dumps(document, sort_keys=True)

    @classmethod
    def parse(cls, kind: ControlKind, data: str) -> ControlInput:
        """A control input from the journal."""
        return cls(kind=kind, **json.loads(data))
