"""The live view of the demonstration, and its table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import msgspec
from rich.box import HEAVY_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from alerts.receivers.safe_console import LineTable
from streamer.demo.verdict import AnomalyResult, Verdict
from streamer.messages.records import Chunk
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.runner_context import StepResult
from streamer.sources.simulator import INSTRUMENTS, SimulatorSource

_EVERY_S = 0.25
_PLAIN_STEPS = 10
_TAIL = 60  # records at the end of a chunk that are searched for last prices


class _LastTrade(msgspec.Struct, tag_field="event_type", tag="trade"):
    symbol: str
    price: float


class View:
    """A live table of instruments; without a terminal, a line for every tenth of the run.

    Parameters
    ----------
    console
        Where it is shown; alerts can be printed to it meanwhile.
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
        """Print where metrics and health are served."""
        if address is not None:
            self._where = f"http://{address[0]}:{address[1]}"
            pages = "/metrics, /healthz and /readyz"
            self._console.print(f"while this runs, {pages} are at {self._where}")

    def polled(self, chunks: Sequence[Chunk]) -> None:
        """Take last prices from polled records."""
        for chunk in chunks:
            for record in chunk.records[-_TAIL:]:
                if record.value is not None and record.value.startswith(b'{"event_type":"trade"'):
                    trade = self._decoder.decode(record.value)
                    self._price[trade.symbol] = trade.price

    def watch(self, step: StepResult) -> None:
        """Update the view with a step."""
        self._records += step.records
        for transition in step.outcome.transitions:
            if transition.instrument is None:
                continue  # a drift of all instruments together
            symbol = transition.instrument.symbol
            is_open = self._open.setdefault(symbol, set())
            if transition.transition == "fired":
                self._fired[symbol] = self._fired.get(symbol, 0) + 1
                self._last_rule[symbol] = transition.rule
            if transition.transition == "resolved":
                is_open.discard(transition.alert_id)
            else:  # an update may bring back what was resolved
                is_open.add(transition.alert_id)
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
            f"{rate:,.0f} per second   {fired} alert{'' if fired == 1 else 's'}"
        )

    def _table(self) -> LineTable:
        table = LineTable(box=HEAVY_HEAD, pad_edge=True, title="a simulated market", title_justify="left")
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


def verdict_table(verdict: Verdict, opens_ns: int) -> LineTable:
    """The planted anomalies and what caught them, by start time."""
    table = LineTable(box=HEAVY_HEAD, pad_edge=True, title="planted against caught", title_justify="left")
    for name, justify in (("at", "right"), ("instrument", "left"), ("planted", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # one of rich's own words
    table.add_column("caught by")
    table.add_column("after", justify="right")
    table.add_column("also fired")
    for result in verdict.results:
        table.add_row(*_row(result, opens_ns))
    return table


def _row(result: AnomalyResult, opens_ns: int) -> tuple[str | Text, ...]:
    minutes, seconds = divmod((result.anomaly.start_ns - opens_ns) // NS_PER_SECOND, 60)
    at, symbol, kind = f"{minutes}:{seconds:02d}", result.anomaly.symbol, result.anomaly.kind
    also = ", ".join(result.also_fired)
    if result.caught_by is None:
        return at, symbol, kind, Text("MISSED", style="bold red"), "", also
    return at, symbol, kind, Text(result.caught_by.rule, style="green"), f"{result.delay_s:.1f} s", also


def verdict_words(verdict: Verdict) -> list[str]:
    """The figures of a verdict in words, as lines."""
    caught = sum(result.caught_by is not None for result in verdict.results)
    always = sum(kind_caught == planted for kind_caught, planted in verdict.kinds.values())
    # a rate is told once a day has passed: minutes say nothing about one
    rate = f" ({verdict.false_alarms_per_symbol_day:.2f} a symbol-day)" if verdict.symbol_days >= 1 else ""
    lines = [
        f"{caught} of {len(verdict.results)} planted anomalies caught, "
        f"{always} of {len(verdict.kinds)} kinds every time",
        f"{len(verdict.false_alarms)} false alarm{'' if len(verdict.false_alarms) == 1 else 's'} in "
        f"{verdict.symbol_days:.2f} symbol-days{rate}",
    ]
    lines += [f"  false alarm: {each.rule} on {each.symbol}" for each in verdict.false_alarms]
    return lines
