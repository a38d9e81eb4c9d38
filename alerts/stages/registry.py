"""Every stage, in the order in which alerts pass them. A new stage is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from alerts.stages.cap import MINUTE_S, CapStage
from alerts.stages.chain import StageChain
from alerts.stages.digest import DigestStage
from alerts.stages.route import Router, RouteStage
from alerts.stages.silence import SilenceStage
from alerts.stages.stage import Stage

LATE_AFTER_S: Final = 300.0
"""The default: after a restart of a minute or two, what is found is still news."""


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What stages take from the configuration.

    Parameters
    ----------
    router
        Who gets what.
    caps
        Messages a minute by receiver; one that is not named has no cap.
    cap_window_s
        What a cap counts messages in; tests shorten it.
    edits
        Edits a minute by receiver; one that is not named cannot edit.
    late_after_s
        An alert that was raised further behind the end of its log than this, in seconds, is late.
    """

    router: Router
    caps: Mapping[str, int | None] = field(default_factory=dict)
    cap_window_s: float = MINUTE_S
    edits: Mapping[str, int] = field(default_factory=dict)
    late_after_s: float = LATE_AFTER_S


@dataclass(frozen=True, slots=True)
class RegisteredStage:
    """A stage and how it is made.

    Parameters
    ----------
    name
        The same as the stage's own.
    build
        Makes it.
    """

    name: str
    build: Callable[[StageSettings], Stage]


STAGES: Final = (
    RegisteredStage("route", lambda settings: RouteStage(settings.router)),
    RegisteredStage("silence", lambda settings: SilenceStage(settings.late_after_s)),
    RegisteredStage(
        "digest", lambda settings: DigestStage(settings.caps, settings.cap_window_s, settings.edits)
    ),
    RegisteredStage("cap", lambda settings: CapStage(settings.caps, settings.cap_window_s, settings.edits)),
)


def build_stages(settings: StageSettings) -> StageChain:
    """All registered stages, in their order."""
    return StageChain((each.build(settings) for each in STAGES), settings.late_after_s)
