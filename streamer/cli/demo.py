"""`tapewatch demo`: runs the whole service on a simulated market, without a broker."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamer.cli.output import CompileBar, out, out_lines, out_text, say
from streamer.errors import UsageError

if TYPE_CHECKING:
    from streamer.config.file import ConfigFile
    from streamer.demo.service import DemoRun
    from streamer.pipeline.plan import Plan
    from streamer.sources.simulator import SimulatorSource


def demo(
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the market.")] = 7,
    minutes: Annotated[int, typer.Option(min=15, max=1440, help="Simulated time.")] = 30,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Multiple of real time; by default as fast as possible.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="Your own rules and detectors; source.files must match `simulated`."
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Keep the store in this new file, for `alerts` and `why`; else it is deleted."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Port of metrics and health, 0 for any free one; by default 9464, or any if that is taken.",
        ),
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the demo's configuration and exit.")
    ] = False,
) -> None:
    """Watch a simulated market of a dozen instruments, and see which planted anomalies are detected.

    The same seed gives the same events, the same alerts and the same verdict. Events pass through the same
    store, engine, rules, episodes and delivery as in the daemon. Ten kinds of anomalies are planted, from a
    fat finger to a spoofed order; a table at the end lists each of them and the rules that caught it.
    Meanwhile metrics and health are served on this machine, as by the daemon, at the address it prints.

    Examples: `tapewatch demo`, `tapewatch demo --seed 11 --minutes 120`,
    `tapewatch demo --speed 60`, `tapewatch demo --store demo.db && tapewatch alerts --store demo.db`
    """
    from streamer.config.load import load, load_text
    from streamer.demo.configuration import DEMO_CONFIG

    if show_config:
        out_text(DEMO_CONFIG.rstrip())
        return
    if store is not None and store.exists():
        raise UsageError(f"--store {store}: the file exists already; the demo needs a new one")
    loaded = load_text(DEMO_CONFIG, "demo.yaml") if config is None else load(config)

    from streamer.sources.simulator import SimulatorSource

    market = SimulatorSource(seed, minutes * 60, per_kind=max(1, round(minutes / 30)))
    with ExitStack() as stack:
        path = store or Path(stack.enter_context(TemporaryDirectory(prefix="tapewatch-"))) / "demo.db"
        run, bodies = _run(loaded, market, path, speed, port)
    _print_verdict(market, minutes * 60, run, bodies)


def _run(
    config: ConfigFile, market: SimulatorSource, store: Path, speed: float | None, port: int | None
) -> tuple[DemoRun, list[dict[str, Any]]]:
    """Run the service on the market with a new store; returns its totals and all alerts."""
    from alerts.receivers.console import ConsoleReceiver
    from alerts.receivers.safe_console import SafeConsole
    from streamer.app.signals import stop_signals
    from streamer.demo.market import MarketSource
    from streamer.demo.service import DemoSetup, run_demo, where_to_listen
    from streamer.demo.view import View
    from streamer.pipeline.warmup import warm_up
    from streamer.sources.paced_source import PacedSource
    from streamer.store.database import open_store
    from streamer.store.queries import AlertFilter
    from streamer.store.queries import alerts as stored_alerts

    plan, console = _plan(config), SafeConsole(stderr=True)
    database = open_store(f"sqlite:///{store}")
    with closing(database), stop_signals() as stopping:
        warm_up(plan, CompileBar(), stopped=stopping.is_set)
        if stopping.is_set():
            raise KeyboardInterrupt
        with View(console, market) as view:
            run = run_demo(
                DemoSetup(
                    config,
                    plan,
                    database,
                    MarketSource(market if speed is None else PacedSource(market, speed), view.polled),
                    {"console": ConsoleReceiver(console)},
                    where_to_listen(config, port),
                ),
                served=view.served,
                watch=view.watch,
                stopped=stopping.is_set,
            )
        if stopping.is_set():
            raise KeyboardInterrupt
        return run, stored_alerts(database, AlertFilter(origin="detect"), None)


def _plan(config: ConfigFile) -> Plan:
    from streamer.pipeline.compile import compile_plan
    from streamer.sources.simulator import TOPIC

    plan = compile_plan(config)
    if plan.feed(TOPIC) is None:
        raise UsageError(f"{config.path}: source.files needs an entry that matches {TOPIC!r}")
    return plan


def _print_verdict(market: SimulatorSource, seconds: int, run: DemoRun, bodies: list[dict[str, Any]]) -> None:
    """Compare the alerts that fired with the anomalies that were planted."""
    from streamer.demo.verdict import FiredAlert, judge
    from streamer.demo.view import verdict_table, verdict_words
    from streamer.sources.simulator import INSTRUMENTS, OPENS_NS

    fired = [FiredAlert.of(body) for body in bodies if body["transition"] == "fired"]
    verdict = judge(market.planted, fired, len(INSTRUMENTS), seconds)
    say(f"{run.records:,} events in {run.seconds:.1f} s ({run.records / run.seconds:,.0f} per second)")
    out(verdict_table(verdict, OPENS_NS))
    out_lines(verdict_words(verdict), 0)
