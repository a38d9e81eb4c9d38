"""`tapewatch replay`: runs files through the same detection as the daemon."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.inputs import FileFormat, ReceiveTime, Venue, file_source, option_settings
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import CompileBar, say, say_lines
from streamer.errors import TapewatchError


def replay(
    files: Annotated[list[Path], typer.Argument(help="Event files, or one recording.", show_default=False)],
    config: Config = DEFAULT_CONFIG,
    alerts: Annotated[
        Path | None, typer.Option(help="Write the alerts to this file as JSON lines; `-` is stdout.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Write every score to this file, .jsonl or .csv.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="Multiple of the recorded speed; by default as fast as possible."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many records.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Records per step; results do not depend on it.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only the summary, without a line per alert.")
    ] = False,
    file_format: FileFormat = None,
    venue: Venue = None,
    receive_time: ReceiveTime = None,
) -> None:
    """Run event files through the rules and detectors, and show the alerts they raise.

    It is the same code as `run`: what fires here would fire there on the same records. The format of a file
    comes from the first entry of `source.files` that matches its name, or from --format, --venue and
    --receive-time. Nothing is sent to receivers, and nothing is stored. A damaged file is read up to the
    damage, and the exit code is 1.

    Examples: `tapewatch replay -c binance.yaml spot_btcusdt.gz`,
    `tapewatch replay -c mine.yaml day.jsonl.zst --alerts alerts.jsonl --scores scores.csv`
    """
    from streamer.app.replay import replay as fold
    from streamer.app.signals import stop_signals
    from streamer.cli.replay_output import ReplayOutput, summary
    from streamer.decoding.member_order import prepare_merging
    from streamer.pipeline.allowance import Allowance
    from streamer.pipeline.compile import compile_plan
    from streamer.pipeline.detector_models import tried_first
    from streamer.pipeline.warmup import warm_up

    named = option_settings(file_format, venue, receive_time)
    loaded, source, progress = file_source(load_config(config), files, batch_size, named)
    plan = compile_plan(loaded, tried_first)
    for warning in plan.warnings:
        say(f"warning: {warning}")
    with ExitStack() as stack:
        output = stack.enter_context(ReplayOutput(alerts, scores, quiet=quiet, share=progress.share))
        stopping = stack.enter_context(stop_signals())
        also = prepare_merging if len(files) > 1 else lambda: None
        warm_up(plan, CompileBar(), also, stopping.is_set)
        if stopping.is_set():
            raise KeyboardInterrupt
        totals = fold(
            plan,
            source,
            batch_size=batch_size or loaded.settings.engine.batch_size,
            watch=output.write,
            allowance=Allowance(limit, speed, stopped=stopping.is_set),
            compared=progress.joined_as,
        )
    say_lines(summary(totals, progress.skipped()))
    for told in (
        *progress.empty(),
        *progress.untimed(totals.untimed, speed is not None),
        *progress.unsorted(totals.disorders),
        *totals.shared,
    ):
        say(f"warning: {told}")
    damages = [*progress.damages(), *([totals.damage] if totals.damage else [])]
    for damage in damages:
        say(f"warning: {damage}; the rest of it is missing here")
    if stopping.is_set():
        raise KeyboardInterrupt
    if damages:
        raise typer.Exit(TapewatchError.exit_code)
