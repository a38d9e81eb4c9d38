"""What can be seen of the demonstration while it runs, and its table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamer.demo.verdict import Catch, Verdict
from streamer.messages.records import Chunk
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.runner import Work
from streamer.sources.simulator import INSTRUMENTS, SimulatorSource

_EVERY_S = 0.25
_PLAIN_STEPS = 10
_LOOKED_AT = 60  # records at the end of a chunk among which last prices are looked for


class _LastTrade(msgspec.Struct, tag_field="event_type", tag="trade"):
    symbol: str
    price: float


class View:
    """A table of instruments that follows the run; where nobody sees a terminal, a line now and then.

    Parameters
    ----------
    console
        Where it is shown; alerts may be printed to it meanwhile.
    source
        The market.
    """

    def __init__(self, console: Console, source: SimulatorSource) -> None:
        self._console = console
        self._source = source
        self._decoder = msgspec.json.Decoder(_LastTrade)
        self._price: dict[str, float] = {}
        self._fired: dict[str, int] = {}
        self._last_rule: dict[str, str] = {}
        self._open: dict[str, set[str]] = {}
        self._records = 0
        self._where = ""
        self._began = self._shown_at = time.monotonic()
        self._steps = 0
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        self._began = self._shown_at = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def served(self, address: tuple[str, int] | None) -> None:
        """Say where metrics and health are, for as long as it runs."""
        if address is not None:
            self._where = f"http://{address[0]}:{address[1]}"
            pages = "/metrics, /healthz and /readyz"
            self._console.print(f"while this runs, {pages} are at {self._where}", highlight=False)

    def seen(self, chunks: Sequence[Chunk]) -> None:
        """Take last prices from records that come in."""
        for chunk in chunks:
            for record in chunk.records[-_LOOKED_AT:]:
                if record.value is not None and record.value.startswith(b'{"event_type":"trade"'):
                    trade = self._decoder.decode(record.value)
                    self._price[trade.symbol] = trade.price

    def watch(self, work: Work) -> None:
        """Follow what became of a batch."""
        self._records += work.records
        for transition in work.outcome.transitions:
            if transition.instrument is None:
                continue  # a drift of all instruments together
            symbol = transition.instrument.symbol
            is_open = self._open.setdefault(symbol, set())
            if transition.transition == "fired":
                self._fired[symbol] = self._fired.get(symbol, 0) + 1
                self._last_rule[symbol] = transition.rule
                is_open.add(transition.alert_id)
            elif transition.transition == "resolved":
                is_open.discard(transition.alert_id)
        if self._console.is_terminal:
            self._refresh()
        elif self._source.done * _PLAIN_STEPS >= self._steps + 1:
            self._steps = int(self._source.done * _PLAIN_STEPS)
            self._console.print(self._headline())

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._shown_at >= _EVERY_S:
            self._shown_at = now
            self._live.update(Group(self._table(), self._headline()), refresh=True)

    def _headline(self) -> Text:
        at = datetime.fromtimestamp(self._source.now_ns // NS_PER_SECOND, UTC)
        rate = self._records / max(time.monotonic() - self._began, 1e-9)
        fired = sum(self._fired.values())
        return Text(
            f"{at:%H:%M:%S} simulated ({self._source.done:.0%})   {self._records:,} events   "
            f"{rate:,.0f} a second   {fired} alert{'' if fired == 1 else 's'}"
        )

    def _table(self) -> Table:
        table = Table(title="a simulated market", title_justify="left")
        table.caption = f"{self._where}/metrics" if self._where else None
        table.add_column("instrument")
        table.add_column("last", justify="right")
        table.add_column("change", justify="right")
        table.add_column("alerts", justify="right")
        table.add_column("open", justify="right")
        table.add_column("latest")
        for spec in INSTRUMENTS:
            last = self._price.get(spec.symbol, spec.price)
            is_open = len(self._open.get(spec.symbol, ()))
            table.add_row(
                spec.symbol,
                f"{last:,.{spec.decimals}f}",
                f"{last / spec.price - 1:+.2%}",
                str(self._fired.get(spec.symbol, 0) or ""),
                Text(str(is_open or ""), style="bold red"),
                self._last_rule.get(spec.symbol, ""),
            )
        return table


def verdict_table(verdict: Verdict, opens_ns: int) -> Table:
    """Planted against caught, in the order things began."""
    table = Table(title="planted against caught", title_justify="left")
    for name, justify in (("at", "right"), ("instrument", "left"), ("planted", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # one of rich's own words
    table.add_column("caught by")
    table.add_column("after", justify="right")
    table.add_column("also fired")
    for found in verdict.found:
        table.add_row(*_row(found, opens_ns))
    return table


def _row(found: Catch, opens_ns: int) -> tuple[str | Text, ...]:
    minutes, seconds = divmod((found.anomaly.start_ns - opens_ns) // NS_PER_SECOND, 60)
    at, symbol, kind = f"{minutes}:{seconds:02d}", found.anomaly.symbol, found.anomaly.kind
    also = ", ".join(found.also)
    if found.by is None:
        return at, symbol, kind, Text("MISSED", style="bold red"), "", also
    return at, symbol, kind, Text(found.by.rule, style="green"), f"{found.delay_s:.1f} s", also


def verdict_words(verdict: Verdict) -> str:
    """The figures of a verdict, for a person."""
    caught = sum(found.by is not None for found in verdict.found)
    whole = sum(caught_of == planted for caught_of, planted in verdict.kinds.values())
    lines = [
        f"{caught} of {len(verdict.found)} planted anomalies caught, {whole} of {len(verdict.kinds)} kinds "
        "every time",
        f"{len(verdict.false_alarms)} false alarm{'' if len(verdict.false_alarms) == 1 else 's'} in "
        f"{verdict.symbol_days:.2f} symbol-days ({verdict.false_alarms_per_symbol_day:.2f} a symbol-day)",
    ]
    lines += [f"  false alarm: {each.rule} on {each.symbol}" for each in verdict.false_alarms]
    return "\n".join(lines)
