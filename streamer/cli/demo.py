"""`tapewatch demo`: a simulated market through the whole service, no broker needed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from streamer.cli.output import out, say
from streamer.errors import UsageError


def demo(
    seed: Annotated[int, typer.Option(min=0, help="Everything in the market follows from it.")] = 7,
    minutes: Annotated[int, typer.Option(min=15, max=1440, help="Simulated time.")] = 30,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times real time; as fast as it goes without.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="Rules and detectors of your own; records come from a file `simulated`."
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Keep the store in this new file, for `alerts` and `why`; else it is removed."),
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the configuration it runs with, and stop.")
    ] = False,
) -> None:
    """Watch a simulated market of a dozen instruments, and see what is found of what is planted in it.

    The market is seeded: the same seed gives the same events, the same alerts, the same verdict. They go
    through the same store, engine, rules, episodes and delivery as the daemon's. Ten kinds of anomalies are
    planted, from a fat finger to a spoofed order; at the end a table names each, and what caught it.

    Examples: `tapewatch demo`, `tapewatch demo --seed 11 --minutes 120`,
    `tapewatch demo --speed 60`, `tapewatch demo --store demo.db && tapewatch alerts --store demo.db`
    """
    from streamer.config.load import load, load_text
    from streamer.demo.configuration import DEMO_CONFIG

    if show_config:
        out(DEMO_CONFIG.rstrip())
        return
    if store is not None and store.exists():
        raise UsageError(f"--store {store}: that file is there already; the demo begins with a new one")
    loaded = load_text(DEMO_CONFIG, "demo.yaml") if config is None else load(config)

    from alerts.receivers.console import ConsoleReceiver
    from streamer.demo.service import run_demo
    from streamer.demo.verdict import Fired, judge
    from streamer.demo.view import View, verdict_table, verdict_words
    from streamer.demo.watched import WatchedSource
    from streamer.pipeline.compile import compile_plan
    from streamer.pipeline.warmup import warm_up
    from streamer.service import stop_signals
    from streamer.sources.contract import Source
    from streamer.sources.paced import PacedSource
    from streamer.sources.simulator import INSTRUMENTS, OPENS_NS, TOPIC, SimulatorSource
    from streamer.store.database import open_store
    from streamer.store.queries import AlertFilter
    from streamer.store.queries import alerts as stored_alerts

    plan = compile_plan(loaded)
    if plan.feed(TOPIC) is None:
        raise UsageError(f"{loaded.path}: source.files needs an entry that matches {TOPIC!r}")
    market = SimulatorSource(seed, minutes * 60, each=max(1, round(minutes / 30)))
    console = Console(stderr=True)
    with ExitStack() as stack:
        path = store or Path(stack.enter_context(TemporaryDirectory(prefix="tapewatch-"))) / "demo.db"
        database = open_store(f"sqlite:///{path}")
        stack.callback(database.close)
        stopping = stack.enter_context(stop_signals())
        warm_up(plan, say)
        view = stack.enter_context(View(console, market))
        paced: Source = market if speed is None else PacedSource(market, speed)
        ran = run_demo(
            loaded,
            plan,
            database,
            WatchedSource(paced, view.seen),
            {"console": ConsoleReceiver(console)},
            watch=view.watch,
            stopped=stopping.is_set,
        )
        bodies = stored_alerts(database, AlertFilter(origin="detect"), None)
    if stopping.is_set():
        raise KeyboardInterrupt
    fired = [Fired.of(body) for body in bodies if body["transition"] == "fired"]
    verdict = judge(market.planted, fired, len(INSTRUMENTS), minutes * 60)
    say(f"{ran.records:,} events in {ran.seconds:.1f} s ({ran.records / ran.seconds:,.0f} a second)")
    out(verdict_table(verdict, OPENS_NS))
    out(verdict_words(verdict))
