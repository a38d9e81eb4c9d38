"""Silenced alerts, and the rest of what a receiver was not told the beginning of."""

from __future__ import annotations

from alerts.severity import severity_rank
from alerts.stages.matchers import until_text
from alerts.stages.stage import AlertTransition, Pass, Stage, Stop, Verdict
from alerts.stages.view import DIGESTED, MUTED, SUMMARISED, EpisodeAtReceiver, StageView


class SilenceStage(Stage):
    """Stops what a silence matches.

    * A receiver that heard of an episode hears its end, silenced or not; but no second one, where what came
      after the end was held back.
    * The end of an episode that it has not heard of is not sent.
    * An episode that a summary named goes on unsent under that summary, until it is more severe than
      it was then.
    * What is late of an episode in a digest goes on unsent under that digest, too. If the episode goes on
      when the receiver is up to date again, its next update is told, and so is the end of a critical one.

    Parameters
    ----------
    late_after_s
        How far behind its log a record is that is late, in seconds.
    """

    name = "silence"
    phase = "routing"

    def __init__(self, late_after_s: float) -> None:
        self._late_after_s = late_after_s

    def judge(self, transition: AlertTransition, receiver: str, now: float, view: StageView) -> Verdict:
        """Stop what is silenced at `now`, and the rest of what was held back before."""
        episode = view.episode(transition.alert_id, receiver)
        ends = transition.transition == "resolved"
        if episode.heard and ends and not episode.over:
            return Pass("the receiver heard of this episode, so it hears its end")
        matching = [each.ends_at for each in view.silences(now) if each.silences(transition.body, now)]
        if matching:
            return Stop(f"muted until {until_text(max(matching))}", MUTED)
        if episode.held_state is None or (episode.heard and not ends):
            return Pass("no silence matches")
        if self._told_now(transition, episode):
            return Pass("the receiver is told now of what was held back before")
        return Stop(episode.held_reason or episode.held_state, episode.held_state)

    def _told_now(self, transition: AlertTransition, episode: EpisodeAtReceiver) -> bool:
        ends, worse = transition.transition == "resolved", severity_rank(transition.severity)
        if episode.held_state == DIGESTED and not self._is_late(transition):
            return not ends or (worse >= severity_rank("critical") and not episode.heard)
        if ends:
            return False
        if episode.over and worse >= severity_rank("critical"):
            return True  # it was called over, and has come back
        return episode.held_state not in (SUMMARISED, DIGESTED) or worse > episode.held_severity

    def _is_late(self, transition: AlertTransition) -> bool:
        return transition.behind_s is not None and transition.behind_s > self._late_after_s
