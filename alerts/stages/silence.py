"""Silenced alerts, and the rest of what a receiver was not told the beginning of."""

from __future__ import annotations

from alerts.severity import severity_rank
from alerts.stages.matchers import until_text
from alerts.stages.stage import AlertTransition, Pass, Stage, Stop, Verdict
from alerts.stages.view import MUTED, SUMMARISED, StageView


class SilenceStage(Stage):
    """Stops what a silence matches.

    * A receiver that heard of an episode hears its end, silenced or not.
    * The end of an episode that it has not heard of is not sent.
    * An episode that a summary named goes on unsent under that summary, until it is more severe than
      it was then.
    """

    name = "silence"
    phase = "routing"

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        """Stop what is silenced at `now`, and the rest of what was held back before."""
        episode = view.episode(transition.alert_id, receiver)
        ends = transition.transition == "resolved"
        if episode.heard and ends:
            return Pass("the receiver heard of this episode, so it hears its end")
        matching = [each.ends_at for each in view.silences(now) if each.silences(transition.body, now)]
        if matching:
            return Stop(f"muted until {until_text(max(matching))}", MUTED)
        if episode.heard or episode.held_state is None:
            return Pass("no silence matches")
        held = Stop(episode.held_reason or episode.held_state, episode.held_state)
        if ends:
            return held
        if episode.held_state == SUMMARISED and severity_rank(transition.severity) <= episode.held_severity:
            return held
        return Pass("the receiver is told now of what was held back before")
