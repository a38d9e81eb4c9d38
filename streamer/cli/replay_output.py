"""What `tapewatch replay` prints and writes: alerts, scores, progress and a summary."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from alerts.plain_text import one_line, safe_json
from alerts.receivers.console import print_alert
from alerts.receivers.receiver import Delivery
from streamer.app.replay import ReplayTotals
from streamer.cli.clock_counts import clock_lines
from streamer.cli.output import progress_bar
from streamer.errors import TapewatchError
from streamer.pipeline.export import ScoreFile, open_for_writing
from streamer.pipeline.runner_context import StepResult
from streamer.store.clock_alerts import notice_text


class ReplayOutput:
    """Prints a line per alert and the progress on stderr, writes alerts and scores to files.

    Parameters
    ----------
    alerts
        The file for alerts as JSON lines; ``-`` is stdout, None is nowhere.
    scores
        The file for scores, None for none.
    quiet
        True for no lines per alert.
    share
        Returns the share of the input that has been read, 0 to 1.
    """

    def __init__(
        self, alerts: Path | None, scores: Path | None, *, quiet: bool, share: Callable[[], float]
    ) -> None:
        self._stack = ExitStack()
        if scores is not None:
            self._stack.enter_context(_written_to(scores))
        self._scores = None if scores is None else self._stack.enter_context(ScoreFile(scores))
        self._alerts_to, self._scores_to = alerts, scores
        self._alerts = self._open(alerts)
        self._quiet = quiet
        self._share = share
        self._bar = progress_bar()
        self._task = self._bar.add_task("replaying", total=1.0, note="")

    def __enter__(self) -> Self:
        self._stack.enter_context(self._bar)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stack.close()
        except TapewatchError:
            if kind is None or not issubclass(kind, TapewatchError):  # else it says so already
                raise

    def write(self, step: StepResult) -> None:
        """Print and write the outcome of one batch."""
        if self._scores is not None:
            with _written_to(self._scores_to):
                self._scores.write(step)
        for transition in step.outcome.transitions:
            if self._alerts is not None:
                with _written_to(self._alerts_to):
                    self._alerts.write(safe_json(transition.body.decode()) + "\n")
            if not self._quiet:
                delivery = Delivery(transition.alert_id, transition.number, "console", transition.body)
                print_alert(self._bar.console, delivery)
        if not self._quiet:
            for notice in step.outcome.notices:
                line = f"{step.task.partition.topic}: {notice_text(notice)}"
                self._bar.console.print(one_line(line), soft_wrap=True)
        self._bar.update(self._task, completed=self._share())

    def _open(self, path: Path | None) -> TextIO | None:
        if path is None:
            return None
        if str(path) == "-":
            return sys.stdout
        self._stack.enter_context(_written_to(path))
        return self._stack.enter_context(open_for_writing(path))


@contextmanager
def _written_to(path: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if path is None or str(path) == "-":
            raise
        raise TapewatchError(f"cannot write to {path}: {error.strerror or error}") from error


def summary(totals: ReplayTotals, skipped: Mapping[str, int]) -> list[str]:
    """The lines of the summary of a replay.

    Parameters
    ----------
    totals
        Its totals.
    skipped
        Lines of the files that were not records, by kind.

    Examples
    --------
    >>> summary(ReplayTotals(1200, {"fat_finger": 1}, {}, {"depthUpdate": 3}, 0, 0.5), {})
    ['1,200 records in 0.5 s (2,400 per second)', '1 alert fired: fat_finger 1', 'not used: depthUpdate 3']
    """
    rate = totals.records / totals.seconds if totals.seconds else 0.0
    lines = [
        f"{totals.records:,} records in {totals.seconds:.1f} s ({rate:,.0f} per second)",
        _counted("alert", " fired", totals.fired),
    ]
    if totals.dead:
        lines.append(_counted("dead letter", "", totals.dead))
    if totals.ignored:
        lines.append(f"not used: {_listed(totals.ignored)}")
    if skipped:
        lines.append(f"lines that are not records: {_listed(skipped)}")
    if totals.late:
        lines.append(f"{totals.late:,} events were late (behind their instrument's clock)")
    lines += clock_lines(totals.clocks)
    lines += [
        f"quarantined: {detector} for {instrument}: {reason}"
        for detector, reasons in totals.quarantined.items()
        for instrument, reason in reasons.items()
    ]
    return lines


def _counted(noun: str, verb: str, counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return f"{total:,} {noun}{'' if total == 1 else 's'}{verb}" + (f": {_listed(counts)}" if counts else "")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
