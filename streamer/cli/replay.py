"""`tapewatch replay`: files through the same detection as the daemon."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.inputs import FileFormat, ReceiveTime, Venue, file_source
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import CompileBar, say


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
    from streamer.app.daemon import stop_signals
    from streamer.app.replay import replay as fold
    from streamer.cli.replay_output import ReplayOutput, summary
    from streamer.pipeline.compile import compile_plan
    from streamer.pipeline.warmup import warm_up
    from streamer.sources.paced_source import PacedSource

    loaded, source, reading = file_source(
        load_config(config), files, limit, batch_size, file_format, venue, receive_time
    )
    plan = compile_plan(loaded)
    if speed is not None:
        source = PacedSource(source, speed)
    with ExitStack() as stack:
        output = stack.enter_context(ReplayOutput(alerts, scores, quiet=quiet, done=reading.done))
        stopping = stack.enter_context(stop_signals())
        warm_up(plan, CompileBar(), stopped=stopping.is_set)
        tally = fold(
            plan,
            source,
            batch_size=batch_size or loaded.settings.engine.batch_size,
            watch=output.write,
            stopped=stopping.is_set,
        )
    say(summary(tally, reading.skipped()))
    if stopping.is_set():
        raise KeyboardInterrupt
