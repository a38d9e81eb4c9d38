"""The rules of docs/event-time.md in plain Python, one event at a time: what the kernels must equal."""

from __future__ import annotations

from dataclasses import dataclass, field

FEW, MANY, LONGEST, PACE = 5, 50, 3200, 5


@dataclass
class Witnesses:
    """Records in a row whose events say that a clock is wrong, in order by their own standard."""

    count: int = 0
    first: int = 0
    lowest: int = 0
    newest: int = 0
    record: int = 0
    since: int = 0
    """The watermark at the first of them."""
    behind_their_own: bool = False

    def see(self, t: int, record: int, watermark: int, a: int) -> None:
        if not self.count or t < self.newest - a:
            self.count, self.record, self.since, self.behind_their_own = 1, record, watermark, False
            self.first = self.lowest = self.newest = t
        elif record != self.record:
            self.count, self.record = self.count + 1, record
            self.lowest, self.newest = min(self.lowest, t), max(self.newest, t)


@dataclass
class Instrument:
    clock: int
    heard: int = 0
    """The running time when it was last heard."""
    unknown: bool = False
    """Whether that stood still then, or went to the last timer: then it counts as heard at the next timer."""
    run: Witnesses = field(default_factory=Witnesses)


@dataclass
class Model:
    """All clocks of one log; `a` is `max_ahead`."""

    a: int
    instruments: dict[int, Instrument] = field(default_factory=dict)
    watermark: int | None = None
    held: list[int] = field(default_factory=list)
    """The watermark after each of the last records that held it, 50 at most."""
    holder: int | None = None
    run: Witnesses = field(default_factory=Witnesses)
    refuted: int | None = None
    need: int = MANY
    running: int = 0
    last_timer: int = 0
    log_steps: int = 0

    def fold(
        self, slot: int, record: int, t: int, record_time: int | None = None
    ) -> tuple[int, bool, tuple[int, int] | None]:
        """The instrument's clock, whether the event is late, and the clock before and after a step back."""
        before = self.watermark
        late_record = before is not None and record_time is not None and abs(record_time - before) <= self.a
        if before is None:
            self.watermark = self.running = t
            self.holds(record, t, jumped=False)
        elif t >= before - self.a:
            self.watermark = max(before, t)
            self.holds(record, t, jumped=t > before + self.a)
        elif late_record:
            self.run.count = 0
        else:
            self.witnesses(slot, record, t, before)
        assert self.watermark is not None
        ran = self.running
        if before is not None and self.watermark > before + self.a:
            self.running = max(self.running, self.last_timer)
        elif before is not None:
            self.running += max(self.watermark - before, 0)
        instrument = self.instruments.setdefault(slot, Instrument(t))
        instrument.heard = self.running
        instrument.unknown = before is not None and self.running in (ran, self.last_timer)
        return self.own(slot, record, t, self.watermark, late_record)

    def timer(self, running: int) -> dict[int, int]:
        """Every instrument's clock at a timer."""
        self.last_timer = max(self.last_timer, running)
        for each in self.instruments.values():
            if each.unknown:
                each.heard, each.unknown = max(each.heard, running), False
        return {slot: each.clock + max(running - each.heard, 0) for slot, each in self.instruments.items()}

    def holds(self, record: int, t: int, *, jumped: bool) -> None:
        assert self.watermark is not None
        if record != self.holder:
            self.held, self.holder = [*self.held, self.watermark][-MANY:], record
        if self.refuted is not None and t >= self.refuted - self.a:
            if not jumped:
                self.need = MANY
            elif t <= self.refuted + self.a:
                self.held, self.need = [self.watermark] * MANY, min(4 * self.need, LONGEST)
            self.refuted = None
        self.run.count = 0

    def witnesses(self, slot: int, record: int, t: int, watermark: int) -> None:
        run, own = self.run, self.instruments.get(slot)
        run.see(t, record, watermark, self.a)
        run.behind_their_own |= own is not None and t < own.clock - self.a
        agreeing = len(self.held)
        while agreeing and self.held[agreeing - 1] > run.lowest + self.a:
            agreeing -= 1
        contradicted = len(self.held) - agreeing
        jumped = contradicted > 0 and (
            agreeing == 0 or self.held[agreeing] > self.held[agreeing - 1] + self.a
        )
        few = FEW <= run.count < MANY and contradicted < min(MANY, run.count) and jumped
        many = run.count >= self.need and run.newest - run.first >= self.a and run.behind_their_own
        if few or many:
            self.refuted, self.watermark = watermark, run.newest
            self.held = [*(each for each in self.held if each <= run.newest), run.newest][-MANY:]
            self.holder, run.count = record, 0
            self.log_steps += 1

    def own(
        self, slot: int, record: int, t: int, watermark: int, late_record: bool
    ) -> tuple[int, bool, tuple[int, int] | None]:
        own, step = self.instruments[slot], None
        if t >= own.clock - self.a:
            own.run.count = 0
        elif own.clock > watermark + self.a or (
            not late_record and self.keeps_pace(own, record, t, watermark)
        ):
            step, own.clock, own.run = (own.clock, t), t, Witnesses()
        late = t < own.clock
        own.clock = max(own.clock, t)
        return own.clock, late, step

    def keeps_pace(self, own: Instrument, record: int, t: int, watermark: int) -> bool:
        run = own.run
        run.see(t, record, watermark, self.a)
        log_went, went = watermark - run.since, run.newest - run.first
        return run.count >= MANY and log_went >= PACE * self.a and went <= 2 * log_went <= 4 * went
