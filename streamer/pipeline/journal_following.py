"""Follows a task's stored journal exactly, then brings the task to the current plan and controls."""

from __future__ import annotations

from streamer.errors import TapewatchError
from streamer.messages.control_inputs import ControlInput
from streamer.pipeline.detector_controls import new_to, obey
from streamer.pipeline.journal import Journal
from streamer.pipeline.plan import Plan
from streamer.pipeline.task import Timer
from streamer.pipeline.task_fold import TaskFold


class JournalFollower:
    """What a task folds that are no records: by its stored journal, and once it is live.

    Parameters
    ----------
    fold
        The task.
    plan
        The plan to continue under after the replay; switching to another one is a reload.
    """

    def __init__(self, fold: TaskFold, plan: Plan) -> None:
        self._fold = fold
        self._plan = plan
        self._newest_control = -1

    def advance(self) -> None:
        """Apply the replay up to its next batch of records; at its end, switch to the current plan."""
        fold = self._fold
        while fold.replay and fold.replay.head.kind != "batch":
            self._apply()
            fold.journal = Journal(fold.replay.pop().seq, fold.row.log)
        if fold.live:
            self._reload_if_changed()
            self.obey_controls()
            fold.tell_losses()

    def _apply(self) -> None:
        fold, entry = self._fold, self._fold.replay.head
        if entry.kind == "gap":
            fold.places[entry.place] = max(fold.places[entry.place], entry.last + 1)
            if fold.merge is not None:
                fold.merge.drop_before(entry.place, entry.last + 1)
        elif entry.kind == "idle":
            if fold.task.members is not None:
                fold.task.members.idle[entry.place] = True
        elif entry.kind == "tick":
            fold.pass_time(Timer(entry.timer_number, entry.ts_ns))
        elif entry.kind == "reload":
            self._carry_over(fold.context.plan_of(entry.data))
        elif entry.kind in ("quarantine", "lift"):
            obey(fold.task, ControlInput.parse(entry.kind, entry.data))
        else:
            raise TapewatchError(
                f"this version cannot replay the journal: it has an entry of kind {entry.kind!r}"
            )

    def finish_segment(self) -> None:
        """Go on behind the records that the replay asks for, whether all of them are folded or not."""
        fold = self._fold
        for span in fold.replay.segment:
            fold.places[span.place] = max(fold.places[span.place], span.last + 1)
        entry = fold.replay.pop_segment()
        if entry is not None:
            fold.journal = Journal(entry.seq, fold.row.log)
        self.advance()

    def switch_to(self, plan: Plan) -> None:
        """Switch to a plan now, or at the end of the replay; it is journaled with what it causes."""
        self._plan = plan
        if self._fold.live:
            self._reload_if_changed()

    def obey_controls(self) -> bool:
        """In a live task, obey and journal the control inputs of its detectors that are new to it."""
        fold, controls = self._fold, self._fold.context.controls
        if not fold.live or controls.newest == self._newest_control:
            return False
        self._newest_control = controls.newest
        obeyed = new_to(fold.task, controls)
        for control in obeyed:
            fold.obey(control)
        return bool(obeyed)

    def _reload_if_changed(self) -> None:
        if self._fold.task.plan.config_hash != self._plan.config_hash:
            self._fold.journal.reload(self._plan.config_hash)
            self._carry_over(self._plan)

    def _carry_over(self, plan: Plan) -> None:
        self._fold.carry_over(plan)
        self._newest_control = -1
