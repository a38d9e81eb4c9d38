"""`tapewatch replay`: files through the same detection as the daemon."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.inputs import FileFormat, ReceiveTime, Venue, file_source
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import progress_bar, say


def replay(
    files: Annotated[list[Path], typer.Argument(help="Event files, or one recording.", show_default=False)],
    config: Config = DEFAULT_CONFIG,
    alerts: Annotated[
        Path | None, typer.Option(help="Write the alerts here as JSON lines; `-` is stdout.")
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="Write every score here, .jsonl or .csv.")] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times recorded speed; as fast as it goes without.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many records.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Records a step; the results do not depend on it.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only the summary, no line per alert.")
    ] = False,
    file_format: FileFormat = None,
    venue: Venue = None,
    receive_time: ReceiveTime = None,
) -> None:
    """Fold event files through the rules and detectors, and show the alerts they raise.

    The same code as `run` on the same records: what fires here fires there. How a file is read comes from
    `source.files` of the configuration, the first entry whose `match` fits its name, or from
    --format, --venue and --receive-time. Nothing is sent to any receiver and nothing is stored.

    Examples: `tapewatch replay -c binance.yaml spot_btcusdt.gz`,
    `tapewatch replay -c mine.yaml day.jsonl.zst --alerts alerts.jsonl --scores scores.csv`
    """
    from alerts.contracts import Delivery
    from alerts.receivers.console import alert_line
    from streamer.pipeline.compile import compile_plan
    from streamer.pipeline.export import ScoreFile, open_for_writing
    from streamer.pipeline.runner import Work
    from streamer.pipeline.warmup import warm_up
    from streamer.replay import replay as fold
    from streamer.service import stop_signals
    from streamer.sources.paced import PacedSource

    loaded, source, reading = file_source(
        load_config(config), files, limit, batch_size, file_format, venue, receive_time
    )
    plan = compile_plan(loaded)
    if speed is not None:
        source = PacedSource(source, speed)
    with ExitStack() as stack:
        score_file = stack.enter_context(ScoreFile(scores)) if scores else None
        to_stdout = alerts is not None and str(alerts) == "-"
        alert_file = (
            None
            if alerts is None
            else sys.stdout
            if to_stdout
            else stack.enter_context(open_for_writing(alerts))
        )
        stopping = stack.enter_context(stop_signals())
        warm_up(plan, say)
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("replaying", total=1.0, note="")

        def watch(work: Work) -> None:
            if score_file is not None:
                score_file.write(work)
            for transition in work.outcome.transitions:
                if alert_file is not None:
                    alert_file.write(transition.body.decode() + "\n")
                if not quiet:
                    sent = Delivery(transition.alert_id, transition.number, "console", transition.body)
                    bar.console.print(alert_line(sent), soft_wrap=True)
            bar.update(task, completed=reading.done())

        tally = fold(
            plan,
            source,
            batch_size=batch_size or loaded.settings.engine.batch_size,
            watch=watch,
            stopped=stopping.is_set,
        )
    say(_summary(tally))
    if stopping.is_set():
        raise KeyboardInterrupt


def _summary(tally: object) -> str:
    from streamer.replay import Tally

    assert isinstance(tally, Tally)  # noqa: S101 - imported late, since it takes long
    rate = tally.records / tally.seconds if tally.seconds else 0.0
    lines = [f"{tally.records:,} records in {tally.seconds:.1f} s ({rate:,.0f} a second)"]
    fired = sum(tally.fired.values())
    by_rule = ", ".join(f"{rule} {count}" for rule, count in sorted(tally.fired.items()))
    lines.append(f"{fired:,} alert{'' if fired == 1 else 's'} fired" + (f": {by_rule}" if by_rule else ""))
    if tally.dead:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(tally.dead.items()))
        count = sum(tally.dead.values())
        lines.append(f"{count:,} dead letter{'' if count == 1 else 's'}: {reasons}")
    if tally.ignored:
        names = ", ".join(f"{name} {count:,}" for name, count in sorted(tally.ignored.items()))
        lines.append(f"not used: {names}")
    if tally.late:
        lines.append(f"{tally.late:,} events were late (behind their instrument's clock)")
    return "\n".join(lines)
