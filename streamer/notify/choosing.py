"""Which of the deliveries that are due go out next: the most important that the stages let pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from alerts.stages.chain import StageChain
from alerts.stages.stage import HoldUntil, Pass, Stop
from streamer.notify.delivery_watch import DeliveryWatch
from streamer.notify.stage_views import ClaimView
from streamer.store.deliveries import HeldDelivery, StoreDeliveries
from streamer.store.due_deliveries import DueDelivery

_PAGE = 20  # deliveries read at once where the stages hold or stop the first
_MOST_JUDGED = 200  # in one claim, so that a newer and more important one never waits long


@dataclass(slots=True)
class ClaimChoice:
    """What the stages said in one claim.

    Parameters
    ----------
    passed
        The deliveries that go out now.
    held
        Those that wait for a time of their own.
    ranks
        Until when all of a rank wait, by rank; at least one of each is due.
    judged
        How many were looked at.
    """

    passed: list[DueDelivery] = field(default_factory=list)
    held: list[HeldDelivery] = field(default_factory=list)
    ranks: dict[int, float] = field(default_factory=dict)
    judged: int = 0

    @property
    def cut_short(self) -> bool:
        """True where more may be due that was not looked at."""
        return self.judged >= _MOST_JUDGED


class Chooser:
    """Asks the stages of one receiver about the deliveries that are due, the most important first.

    Where a stage holds all of a rank, one row of the store says so, however many wait.

    Parameters
    ----------
    receiver
        The receiver's name.
    deliveries
        The store's.
    watch
        Told what stages stop.
    stopped
        Whether to go on no longer: after a reload another sender may be at work.
    """

    def __init__(
        self, receiver: str, deliveries: StoreDeliveries, watch: DeliveryWatch, stopped: Callable[[], bool]
    ) -> None:
        self._receiver = receiver
        self._deliveries = deliveries
        self._watch = watch
        self._stopped = stopped
        self._held: dict[int, tuple[str, str]] = {}

    @property
    def held(self) -> Mapping[int, tuple[str, str]]:
        """Stage and reason by rank, where all of the rank that is due is held."""
        return self._held

    def named(self, claim: Claim) -> Sequence[DueDelivery]:
        """What goes before all else, as far as it passes; see `Stage.first`."""
        stages, now, view = claim.stages, claim.now, claim.view
        first = [each.n for each in stages.first(self._receiver, now, view) if each.due]
        for start in range(0, len(first), _PAGE):
            if self._full(claim):
                break
            for due in self._deliveries.due_of(first[start : start + _PAGE]):
                if due.transition.rank not in claim.paused and not self._full(claim):
                    self._judge(claim, due)
        self._keep(claim)
        return claim.choice.passed

    def choose(self, claim: Claim, page: Sequence[DueDelivery]) -> ClaimChoice:
        """The deliveries that pass; what the stages say of others is kept.

        Parameters
        ----------
        claim
            What is asked.
        page
            The first that are due.
        """
        claim.choice.ranks.update(claim.paused)
        while page:
            for due in page:
                held = due.transition.rank in claim.choice.ranks
                if not held and not self._full(claim):
                    self._judge(claim, due)
            if self._full(claim):
                break
            page = self._deliveries.due(self._receiver, _PAGE, claim.behind(page[-1]))
        going = {due.transition.rank for due in claim.choice.passed}
        gone = set() if page else self._held.keys() - claim.seen
        self.release((going | gone) - claim.choice.ranks.keys())
        self._keep(claim)
        return claim.choice

    def probe(self, claim: Claim, due: DueDelivery) -> Sequence[DueDelivery]:
        """What finds out whether the receiver works: this one whatever holds it, unless it is stopped."""
        judgement = claim.stages.judge("claim", due.transition, self._receiver, claim.now, claim.view)
        if not isinstance(judgement.verdict, Stop):
            return (due,)
        self._stop(due, judgement.stage, judgement.verdict)
        return ()

    def release(self, ranks: Set[int]) -> None:
        """Forget that these ranks were held."""
        released = self._held.keys() & ranks
        if released:
            self._deliveries.release_ranks(self._receiver, released)
            for rank in released:
                del self._held[rank]

    def _keep(self, claim: Claim) -> None:
        if claim.choice.held:
            self._deliveries.hold(claim.choice.held)

    def _full(self, claim: Claim) -> bool:
        return claim.full() or self._stopped()

    def _judge(self, claim: Claim, due: DueDelivery) -> None:
        choice, rank = claim.choice, due.transition.rank
        choice.judged += 1
        claim.seen.add(rank)
        judgement = claim.stages.judge("claim", due.transition, self._receiver, claim.now, claim.view)
        stage, verdict = judgement.stage, judgement.verdict
        if self._stopped():
            return
        if isinstance(verdict, Pass):
            choice.passed.append(due)
            claim.view.add(due.transition)
        elif isinstance(verdict, HoldUntil) and verdict.alike:
            choice.ranks[rank] = verdict.until
            if self._held.get(rank) != (stage, verdict.reason):
                self._deliveries.hold_rank(self._receiver, rank, stage, verdict.reason)
                self._held[rank] = stage, verdict.reason
        elif isinstance(verdict, HoldUntil):
            choice.held.append(HeldDelivery(due.n, stage, verdict.reason, verdict.until))
        else:
            self._stop(due, stage, verdict)

    def _stop(self, due: DueDelivery, stage: str, verdict: Stop) -> None:
        if verdict.state is None:
            raise TypeError(f"stage {stage} stops a delivery without a state to keep it in")
        if not self._stopped() and self._deliveries.stop(due.n, verdict.state, verdict.reason):
            self._watch(self._receiver, verdict.state)


@dataclass(slots=True)
class Claim:
    """One claim while it goes on.

    Parameters
    ----------
    stages, now, view
        What is asked.
    free
        How many may go out.
    paused
        Until when the receiver takes nothing of a rank, by rank.
    choice
        What was said so far.
    seen
        Ranks of which something is due.
    """

    stages: StageChain
    now: float
    view: ClaimView
    free: int
    paused: Mapping[int, float] = field(default_factory=dict)
    choice: ClaimChoice = field(default_factory=ClaimChoice)
    seen: set[int] = field(default_factory=set)

    def full(self) -> bool:
        """True when no more are to be looked at."""
        return len(self.choice.passed) >= self.free or self.choice.judged >= _MOST_JUDGED

    def behind(self, last: DueDelivery) -> tuple[int, int | None]:
        """What comes after this one: of a rank that is held, all the others are skipped."""
        rank = last.transition.rank
        return rank, None if rank in self.choice.ranks else last.n
