"""Folds one task: steps, timers and control inputs, each journaled and committed with what it causes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from detectors.work_watch import work_watch
from streamer.messages.control_inputs import ControlInput
from streamer.messages.journal_entries import MemberSpan
from streamer.messages.logs import Positions
from streamer.messages.outcome import NearMiss, Outcome, Transition
from streamer.messages.records import DamagedRange
from streamer.pipeline.detector_controls import obey
from streamer.pipeline.journal import Journal
from streamer.pipeline.merging import Merge, Step
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner_context import RecoveredTask, RunnerContext, StepResult
from streamer.pipeline.state import reload
from streamer.pipeline.step_records import behind_s, with_bytes
from streamer.pipeline.task import Timer
from streamer.store.commits import Derivation, Loss, dead_letter_of

_TIMERS_AGAIN = 60  # of a rule's `for`, it is late by a sixtieth of the time at most
_MAX_NEAR_MISSES = 1_000  # commit this many even if nothing is visible: it bounds memory


class TaskFold:
    """A task, how far it has come, and its journal.

    Parameters
    ----------
    recovered
        The task to continue.
    context
        What all runners share.
    """

    def __init__(self, recovered: RecoveredTask, context: RunnerContext) -> None:
        self.task = recovered.task
        self.row = recovered.row
        self.log = recovered.log
        """The log as its source knows it; members that are gone are still among them."""
        self.places = list(recovered.positions)
        """The next offset to read of each member, by place."""
        self.journal = Journal(recovered.seq, recovered.row.log)
        self.replay = recovered.replay
        """What is left of the stored journal."""
        self.context = context
        self.merge = Merge(self.task) if self.log.is_joined else None
        """Of a joined log, what its members have brought."""
        if self.merge is not None:
            self.merge.ended |= self.row.gone
        self._near_misses: list[NearMiss] = []
        self.untold: list[Loss] = []
        """Losses that are told once the stored journal has been replayed."""

    @property
    def live(self) -> bool:
        """True once the stored journal has been replayed to its end."""
        return not self.replay

    @property
    def positions(self) -> Positions:
        """The next offset to read of each member."""
        return tuple(self.places)

    def fold(self, step: Step) -> None:
        """Fold records; those that are new are in the journal already."""
        outcome = self.task.step(step.decoded)
        for span in step.segment:
            self.places[span.place] = span.last + 1
        self._finish(outcome, step)

    def pass_time(self, timer: Timer) -> None:
        """Fold a timer; one that is new is in the journal already."""
        self._finish(self.task.step(timer))

    def obey(self, control: ControlInput) -> None:
        """Obey and journal a control input, in a live task."""
        self.journal.control(control)
        obey(self.task, control)
        self.commit(Outcome())
        self.context.watch(StepResult(self.task, 0, Outcome(), True))

    def carry_over(self, plan: Plan) -> None:
        """Go on under another plan; in a live task that is in the journal already."""
        task, outcome = reload(self.task, plan)
        self.commit(outcome)
        self.task = task
        if self.merge is not None:
            self.merge.follow(task)
        self.context.watch(StepResult(task, 0, outcome, self.live))

    def skip_to(self, place: int, first: int) -> None:
        """Skip records that the log has lost and no replay asks for; the task's state is kept."""
        lost = self.replay.reach(self.positions)[place], first - 1
        self.places[place] = first
        self.lose(Loss(place, lost))

    def lose(self, loss: Loss) -> None:
        """Journal a loss, with an alert that names it: now, or behind the stored journal."""
        self.untold.append(loss)
        self.tell_losses()

    def tell_losses(self) -> None:
        """In a live task, journal and tell the losses that are not told yet."""
        while self.live and self.untold:
            loss = self.untold.pop(0)
            if isinstance(loss.what, tuple):
                self.journal.gap(MemberSpan(loss.place, *loss.what))
            elif self.task.members is not None:
                self.task.members.idle[loss.place] = True
                self.journal.idle(loss.place)
            self.commit(Outcome(), loss=loss)

    def skip_range(self, place: int, damaged: DamagedRange) -> None:
        """Skip offsets that cannot be read, with a dead letter and an alert that name them; once live."""
        if self.replay or damaged.last < self.places[place]:
            return
        damaged = replace(damaged, first=max(damaged.first, self.places[place]))
        self.journal.gap(MemberSpan(place, damaged.first, damaged.last))
        self.places[place] = damaged.last + 1
        outcome = Outcome(dead=(dead_letter_of(damaged, place),))
        self.commit(outcome, loss=Loss(place, damaged))
        self.context.watch(StepResult(self.task, 0, outcome, self.live))

    @property
    def lacks_timers(self) -> bool:
        """Whether time is still to pass as it did for an earlier generation of the log.

        Until then that one's last timer is the only one that this task knows, from before any instrument.
        """
        return any(self.row.settled) and self.task.guard.last_timer < self.task.last_timer.ts_ns

    def pass_time_again(self, positions: Positions) -> bool:
        """Come to the last timer of the log's earlier generation, by timers in steps of the same length.

        What they raise was told before, and what stands behind them is told under its new id: an episode
        that a timer raised is not said to be over before.

        Parameters
        ----------
        positions
            By member, the offset that comes next.

        Returns
        -------
        bool
            False where that generation had come further, and where there are no instruments yet.
        """
        if not self.lacks_timers or not self.row.has_come_to(self.row.settled, positions):
            return False
        last, begin = self.task.last_timer, self.task.guard.running
        if not len(self.task.slots):
            return False
        length = max(last.ts_ns - begin, 0)
        transitions: list[Transition] = []
        for number in range(1, _TIMERS_AGAIN + 1):
            timer = Timer(last.number + number, begin + length * number // _TIMERS_AGAIN)
            work_watch().mark()
            self.journal.timer(timer.number, timer.ts_ns)
            outcome = self.task.step(timer)
            transitions += outcome.transitions
            self._near_misses += outcome.near_misses
        self.commit(Outcome(tuple(transitions)), reaches=True)
        self.context.watch(StepResult(self.task, 0, Outcome(tuple(transitions)), True))
        return True

    def commit(
        self,
        outcome: Outcome,
        step: Step | None = None,
        loss: Loss | None = None,
        *,
        reaches: bool = False,
    ) -> None:
        """Commit the pending journal, the outcome, a loss's alert, and near misses since the last commit."""
        positions = self.positions
        if reaches or self.lacks_timers:
            positions = _short_of(self.row.settled, positions)
        behind = behind_s(outcome.transitions, step) if outcome.transitions else {}
        self.context.ledger.commit(
            self.row,
            self.journal.pending,
            replace(
                outcome,
                dead=with_bytes(outcome.dead, step),
                near_misses=tuple(self._near_misses),
            ),
            Derivation(
                self.task.plan.config_hash,
                again=not self.live,
                positions=positions,
                behind_s=behind,
                reaches=reaches,
            ),
            loss,
        )
        self.journal.written()
        self._near_misses.clear()

    def _finish(self, outcome: Outcome, step: Step | None = None) -> None:
        if self.live:  # a replayed journal's near misses are stored already
            self._near_misses += outcome.near_misses
        if outcome.visible or len(self._near_misses) >= _MAX_NEAR_MISSES:
            self.commit(outcome, step)
        counts = Counter[str]()
        for part in () if step is None else step.parts:
            counts[self.log.members[part.place].topic] += len(part.records)
        self.context.watch(StepResult(self.task, counts.total(), outcome, self.live, counts))


def _short_of(settled: Positions, positions: Positions) -> Positions:
    """These positions, but short of what an earlier generation of the log had come to."""
    both = zip(settled, positions, strict=True)
    return tuple(min(at, bound - 1) if bound else at for bound, at in both)
