"""Stages over a store in memory, a receiver of any speed, and a clock that is only a number.

The rules of routing, claiming and ordering are those that docs/delivery.md gives, written down plainly: every
question looks at every row. Nothing waits, so that thousands of storms are gone through in seconds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.severity import severity_rank
from alerts.stages.chain import StageChain
from alerts.stages.importance import CRITICAL, LATE, RISE_TO_CRITICAL, counts_as_beginning, importance
from alerts.stages.matchers import Silence
from alerts.stages.stage import AlertTransition, HoldUntil, Pass, Stop
from alerts.stages.view import SUPERSEDED, EpisodeAtReceiver, Sent, WaitingDelivery

LATE_AFTER_S = 300.0
KEPT_S = 120.0
NEVER = 1_000  # the rank of what is stopped when it is routed
FOREVER = float("inf")


@dataclass(frozen=True)
class Told:
    """A transition as detection commits it."""

    at: float
    alert_id: str
    number: int
    rule: str
    severity: str
    transition: str
    symbol: str
    value: float
    behind_s: float = 0.0

    @property
    def body(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "severity": self.severity,
            "text": f"traded {self.value:g}",
            "ts_event": "2026-01-05T14:30:00.000000000Z",
        }


@dataclass(eq=False)
class Row:
    """One delivery: `done_at` is when it arrived, `instead` the row that stands for it."""

    n: int
    told: Told
    rank: int
    state: str = "pending"
    reason: str | None = None
    text: str = ""
    done_at: float = FOREVER
    started_at: float = FOREVER
    instead: Row | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.told.alert_id, self.told.number

    @property
    def transition(self) -> AlertTransition:
        told = self.told
        fields = told.alert_id, told.number, told.rule, told.severity, told.transition, told.body
        return AlertTransition(*fields, rank=self.rank, behind_s=told.behind_s)


@dataclass
class SimulatedReceiver:
    """Everything that becomes of some transitions at one receiver.

    `takes_s` is how long it takes over a message and the least time between two, `edit_s` the same of edits;
    `parallel` of them are on their way at once.
    """

    name: str
    stages: StageChain
    takes_s: float
    edits: bool
    parallel: int = 4
    muted: Sequence[Silence] = ()
    now: float = 0.0
    rows: list[Row] = field(default_factory=list)
    episodes: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    open: dict[int, Row] = field(default_factory=dict)
    sent: list[Row] = field(default_factory=list)
    joined: dict[int, float] = field(default_factory=dict)
    holding: set[int] = field(default_factory=set)
    free_at: dict[bool, float] = field(default_factory=lambda: {False: 0.0, True: 0.0})

    # ---- the view

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        found = EpisodeAtReceiver()
        for row in self.episodes[alert_id]:
            found = found.after(row.state, row.reason, row.told.severity, row.told.transition)
        return found

    def silences(self, now: float) -> Sequence[Silence]:
        return [each for each in self.muted if each.starts_at <= now < each.ends_at]

    def sent_since(self, receiver: str, since: float, ranks: Collection[int]) -> Sequence[Sent]:
        sent = [
            Sent(min(row.done_at, self.now), row.rank, row.told.rule, row.told.symbol)
            for row in self.sent
            if row.rank in ranks
        ]
        return sorted((each for each in sent if each.at > since), key=lambda each: each.at)

    def joined_at(self, receiver: str, rank: int) -> float | None:
        return self.joined.get(rank)

    def held(self, receiver: str, stage: str) -> Collection[int]:
        return self.holding if stage == "cap" else ()

    def waiting(
        self,
        receiver: str,
        limit: int,
        *,
        ranks: Collection[int] | None = None,
        episodes: Collection[str] | None = None,
        bodies: bool = False,
        newest: bool = False,
    ) -> Sequence[WaitingDelivery]:
        rows = list(self.open.values())
        if ranks is not None:
            rows = [row for row in rows if row.rank in ranks and row.state == "pending" and self._ready(row)]
        if episodes is not None:
            rows = [row for row in rows if row.told.alert_id in episodes]
        return [self._waiting(row, bodies) for row in (rows[-limit:] if newest else rows[:limit])]

    def _waiting(self, row: Row, bodies: bool) -> WaitingDelivery:
        told = row.told
        earlier = self.episodes[told.alert_id]
        heard = any(each.state == "done" and each.told.number < told.number for each in earlier)
        return WaitingDelivery(
            *(row.n, told.alert_id, told.number, told.rule, told.severity, told.transition),
            symbol=told.symbol,
            in_doubt=row.state == "trying",
            heard=heard,
            rank=row.rank,
            since=told.at,
            due=row.state == "pending" and self._ready(row),
            behind_s=told.behind_s,
            body=json.dumps(told.body).encode() if bodies and told.severity == "critical" else None,
        )

    def _ready(self, row: Row) -> bool:
        return not any(
            each.told.number < row.told.number and each.state in ("pending", "trying")
            for each in self.episodes[row.told.alert_id]
        )

    # ---- routing

    def route(self, told: Told) -> None:
        row = Row(len(self.rows), told, 0)
        verdict = self.stages.judge("routing", row.transition, self.name, self.now, self).verdict
        if isinstance(verdict, Stop):
            if verdict.state is not None:
                row.state, row.reason, row.rank = verdict.state, verdict.reason, NEVER
                self._keep(row)
            return
        late = told.behind_s > LATE_AFTER_S
        before = self.episode(told.alert_id, self.name).told_severity
        ranks = [each.rank for each in self.episodes[told.alert_id] if each.state == "pending"]
        if counts_as_beginning(told.transition, told.severity, late, ranks):
            before = None
        row.rank = importance(told.transition, told.severity, before, late)
        known: str | None = None
        found = EpisodeAtReceiver()
        for each in self.episodes[told.alert_id]:
            known = found.told_severity
            found = found.after(each.state, each.reason, each.told.severity, each.told.transition)
            if each.state != "pending":
                continue
            rises = known is None or severity_rank(each.told.severity) > severity_rank(known)
            if each.told.transition == "updated" and not rises:
                self._close(each, SUPERSEDED)
                if each.rank in CRITICAL and told.transition == "updated":
                    row.rank = min(row.rank, each.rank)
            elif row.rank < each.rank and (
                each.rank < LATE or row.rank >= LATE or row.rank <= RISE_TO_CRITICAL
            ):
                each.rank = row.rank
        self._keep(row)

    def _keep(self, row: Row) -> None:
        self.rows.append(row)
        self.episodes[row.told.alert_id].append(row)
        if row.state == "pending":
            self.open[row.n] = row

    def _close(self, row: Row, state: str) -> None:
        row.state = state
        del self.open[row.n]

    # ---- claiming

    def turn(self) -> float:
        """Do all that can be done now; when to look again, `FOREVER` where nothing is left."""
        for row in [row for row in self.open.values() if row.done_at <= self.now]:
            self._close(row, "done")
        self.sent = [row for row in self.sent if row.done_at > self.now - KEPT_S]
        until = FOREVER
        while self._free():
            if not self._join():
                until = self._start()
                break
        ends = [row.done_at for row in self.open.values() if row.state == "trying"]
        waits = [until] if any(row.state == "pending" for row in self.open.values()) else []
        return min([*ends, *waits], default=FOREVER)

    def _free(self) -> bool:
        return sum(row.state == "trying" for row in self.open.values()) < self.parallel

    def _join(self) -> bool:
        joined = self.stages.join(self.name, self.now, self)
        for each in joined:
            alert = each.alert
            told = Told(self.now, alert.id, 0, alert.rule, alert.severity, "fired", alert.rule, 0.0)
            one = Row(len(self.rows), told, each.rank, text=alert.text)
            self._keep(one)
            for member in each.members:
                row = self.rows[member.n]
                assert row.state == "pending", "only what waits is joined"
                row.reason, row.instead = each.reason, one
                self._close(row, each.state)
            self.joined[each.rank] = self.now
        return bool(joined)

    def _start(self) -> float:
        held: set[int] = set()
        asked: set[int] = set()
        until = FOREVER
        self.holding.clear()
        while self._free():
            row = self._next(held, asked)
            if row is None:
                return until
            judgement = self.stages.judge("claim", row.transition, self.name, self.now, self)
            verdict = judgement.verdict
            if isinstance(verdict, Pass):
                self._send(row)
                continue
            assert isinstance(verdict, HoldUntil)
            assert verdict.until > self.now
            asked.add(row.n)
            row.reason = verdict.reason
            until = min(until, verdict.until)
            if verdict.alike:
                held.add(row.rank)
                if judgement.stage == "cap":
                    self.holding.add(row.rank)
        return FOREVER  # the end of one on its way is waited for

    def _next(self, held: Collection[int], asked: Collection[int]) -> Row | None:
        waiting = [row for row in self.open.values() if row.state == "pending" and row.n not in asked]
        first = [self.rows[each.n] for each in self.stages.first(self.name, self.now, self)]
        by_rank = sorted((row for row in waiting if row.rank not in held), key=lambda row: (row.rank, row.n))
        offered = [*(row for row in first if row in waiting), *by_rank]
        return next((row for row in offered if self._ready(row)), None)

    def _send(self, row: Row) -> None:
        known = any(each.state == "done" for each in self.episodes[row.told.alert_id])
        is_edit = self.edits and known and row.told.transition != "fired"
        row.state, row.reason, row.started_at = "trying", None, self.now
        row.done_at = max(self.free_at[is_edit], self.now) + self.takes_s
        self.free_at[is_edit] = row.done_at
        self.sent.append(row)


def run(receiver: SimulatedReceiver, told: Sequence[Told]) -> None:
    """Commit these transitions at their times, and go on until nothing is left to be sent."""
    waiting = sorted(told, key=lambda each: each.at)
    place = 0
    while True:
        while place < len(waiting) and waiting[place].at <= receiver.now:
            receiver.route(waiting[place])
            place += 1
        look_at = receiver.turn()
        if place < len(waiting):
            look_at = min(look_at, waiting[place].at)
        if look_at == FOREVER:
            assert all(row.state != "pending" for row in receiver.rows), "something waits for ever"
            return
        receiver.now = max(look_at, receiver.now + 1e-6)
