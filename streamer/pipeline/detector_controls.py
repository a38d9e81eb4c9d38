"""Control inputs of detectors as a task takes them: which are new to it, and what they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from detectors.detector import Control, Detector
from detectors.models.model import QUARANTINED, WARMING
from streamer.messages.control_inputs import ControlInput
from streamer.pipeline.task import Task


class Controls(Protocol):
    """The control inputs that all logs are to journal."""

    @property
    def newest(self) -> int:
        """The number of the newest one, 0 for none."""

    def last_of_each(self) -> Sequence[ControlInput]:
        """The last one of each detector, in order."""

    def refresh(self) -> None:
        """Look for new ones."""


class NoControls:
    """There are none."""

    newest = 0

    def last_of_each(self) -> Sequence[ControlInput]:
        """See `Controls.last_of_each`."""
        return ()

    def refresh(self) -> None:
        """See `Controls.refresh`."""


def new_to(task: Task, controls: Controls) -> list[ControlInput]:
    """The control inputs that would change a detector of this task."""
    detectors = {detector.name: detector for detector in task.detectors}
    return [
        control
        for control in controls.last_of_each()
        if control.detector in detectors and _changes(detectors[control.detector], control)
    ]


def obey(task: Task, control: ControlInput) -> None:
    """Quarantine a detector of a task as a whole, or lift that; another version of it is left alone."""
    for detector in task.detectors:
        if detector.name == control.detector and _concerns(detector, control):
            reason = control.reason if control.kind == "quarantine" else None
            detector.obey(Control(control.number, reason))
            task.touched.mark_all()
            task.status[detector.name][: len(task.slots)] = WARMING if reason is None else QUARANTINED


def _concerns(detector: Detector, control: ControlInput) -> bool:
    return control.version in ("", detector.version)


def _changes(detector: Detector, control: ControlInput) -> bool:
    if control.number <= detector.control.number or not _concerns(detector, control):
        return False
    return control.kind == "quarantine" or detector.control.reason is not None
