"""How far each detector is in its warm-up, from the statuses that the daemon stored last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectors.detector_settings import ModelStep
from detectors.models.model import STATUS_NAMES
from streamer.pipeline.plan import Plan


@dataclass(frozen=True, slots=True)
class DetectorState:
    """One detector's state over all instruments of all tasks.

    Parameters
    ----------
    name, model
        Its name, and its model or pipeline of models.
    warming, ready, quarantined
        Instruments in each state.
    """

    name: str
    model: str
    warming: int = 0
    ready: int = 0
    quarantined: int = 0

    @property
    def warm_up(self) -> str:
        """What is left of its warm-up, in words.

        Examples
        --------
        >>> DetectorState("tape", "HalfSpaceTrees", warming=3, ready=9).warm_up
        '3 of 12 instruments warming'
        >>> DetectorState("tape", "HalfSpaceTrees", ready=9, quarantined=1).warm_up
        'ready for 9 of 10 instruments, 1 quarantined'
        """
        instruments = self.warming + self.ready + self.quarantined
        if not instruments:
            return "all: it has seen no instrument yet"
        some = "instrument" if instruments == 1 else "instruments"
        if self.warming:
            left = f"{self.warming} of {instruments} {some} warming"
        else:
            left = f"ready for {self.ready} of {instruments} {some}"
        return left + (f", {self.quarantined} quarantined" if self.quarantined else "")


def detector_states(plan: Plan, statuses: Sequence[Mapping[str, Any]]) -> list[DetectorState]:
    """The state of every detector, in order.

    Parameters
    ----------
    plan
        The detectors.
    statuses
        The last status of each task in the store; empty before the first run.
    """
    states = []
    for name, settings in plan.detectors.items():
        counts = [status["detectors"].get(name, {}) for status in statuses]
        states.append(
            DetectorState(
                name,
                model_name(settings.model),
                *(sum(each.get(state, 0) for each in counts) for state in STATUS_NAMES),
            )
        )
    return states


def model_name(model: str | ModelStep | tuple[str | ModelStep, ...]) -> str:
    """A model or a pipeline of models, as one text."""
    if isinstance(model, str):
        return model
    return " | ".join(model_name(step) for step in model) if isinstance(model, tuple) else model.model
