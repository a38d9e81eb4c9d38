"""Stages in their order: the first that does not pass decides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alerts.stages.stage import AlertTransition, Joined, Pass, Phase, Stage, Verdict
from alerts.stages.view import StageView, WaitingDelivery


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the stages say of one transition at one receiver.

    Parameters
    ----------
    stage
        Name of the stage that decided; the last one where all pass, empty where there is none.
    verdict
        What it said.
    """

    stage: str
    verdict: Verdict


class StageChain:
    """All stages, in the order in which alerts pass them.

    Parameters
    ----------
    stages
        In that order, those of both phases.
    late_after_s
        What was raised further behind its log than this is late, and comes after all that is not.
    """

    def __init__(self, stages: Iterable[Stage], late_after_s: float = math.inf) -> None:
        self._stages = tuple(stages)
        self.late_after_s = late_after_s

    def prepare(self, transitions: Sequence[AlertTransition]) -> StageChain:
        """The same stages, quicker for these transitions; see `Stage.prepare`."""
        return StageChain((stage.prepare(transitions) for stage in self._stages), self.late_after_s)

    def judge(
        self, phase: Phase, transition: AlertTransition, receiver: str, now: float, view: StageView
    ) -> Judgement:
        """Ask the stages of one phase; see `Stage.judge` for the other arguments."""
        judgement = Judgement("", Pass("no stage runs here"))
        for stage in self._stages:
            if stage.phase != phase:
                continue
            judgement = Judgement(stage.name, stage.judge(transition, receiver, now, view))
            if not isinstance(judgement.verdict, Pass):
                break
        return judgement

    def join(self, receiver: str, now: float, view: StageView) -> Sequence[Joined]:
        """What the first stage that joins deliveries gives; see `Stage.join`."""
        joined = (stage.join(receiver, now, view) for stage in self._stages)
        return next((each for each in joined if each), ())

    def first(self, receiver: str, now: float, view: StageView) -> Sequence[WaitingDelivery]:
        """What the first stage that puts some before others gives; see `Stage.first`."""
        first = (stage.first(receiver, now, view) for stage in self._stages)
        return next((each for each in first if each), ())
