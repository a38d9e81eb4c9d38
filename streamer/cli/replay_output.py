"""What `tapewatch replay` shows and writes while it folds, and sums up at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from alerts.receivers.console import alert_line
from alerts.receivers.receiver import Delivery
from streamer.app.replay import Tally
from streamer.cli.output import progress_bar
from streamer.pipeline.export import ScoreFile, open_for_writing
from streamer.pipeline.runner import StepResult


class ReplayOutput:
    """A line an alert on stderr, alerts and scores to files, and how far it is.

    Parameters
    ----------
    alerts
        Where alerts go as JSON lines; ``-`` is stdout, None is nowhere.
    scores
        Where scores go, None for nowhere.
    quiet
        True for no lines on stderr.
    done
        Gives the share that has been read, from 0 to 1.
    """

    def __init__(
        self, alerts: Path | None, scores: Path | None, *, quiet: bool, done: Callable[[], float]
    ) -> None:
        self._stack = ExitStack()
        self._scores = None if scores is None else self._stack.enter_context(ScoreFile(scores))
        self._alerts = self._opened(alerts)
        self._quiet = quiet
        self._done = done
        self._bar = progress_bar()
        self._task = self._bar.add_task("replaying", total=1.0, note="")

    def __enter__(self) -> Self:
        self._stack.enter_context(self._bar)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, step: StepResult) -> None:
        """Show and write what one batch came to."""
        if self._scores is not None:
            self._scores.write(step)
        for transition in step.outcome.transitions:
            if self._alerts is not None:
                self._alerts.write(transition.body.decode() + "\n")
            if not self._quiet:
                sent = Delivery(transition.alert_id, transition.number, "console", transition.body)
                self._bar.console.print(alert_line(sent), soft_wrap=True)
        self._bar.update(self._task, completed=self._done())

    def _opened(self, path: Path | None) -> TextIO | None:
        if path is None:
            return None
        return sys.stdout if str(path) == "-" else self._stack.enter_context(open_for_writing(path))


def summary(tally: Tally, skipped: Mapping[str, int]) -> str:
    """What a replay came to, in words.

    Parameters
    ----------
    tally
        Its counts.
    skipped
        Lines of the files that were no records, by name.

    Examples
    --------
    >>> print(summary(Tally(1200, {"fat_finger": 1}, {}, {"depthUpdate": 3}, 0, 0.5), {}))
    1,200 records in 0.5 s (2,400 a second)
    1 alert fired: fat_finger 1
    not used: depthUpdate 3
    """
    rate = tally.records / tally.seconds if tally.seconds else 0.0
    lines = [
        f"{tally.records:,} records in {tally.seconds:.1f} s ({rate:,.0f} a second)",
        _counted("alert", " fired", tally.fired),
    ]
    if tally.dead:
        lines.append(_counted("dead letter", "", tally.dead))
    if tally.ignored:
        lines.append(f"not used: {_listed(tally.ignored)}")
    if skipped:
        lines.append(f"lines that are no records: {_listed(skipped)}")
    if tally.late:
        lines.append(f"{tally.late:,} events were late (behind their instrument's clock)")
    lines += [
        f"quarantined: {detector} for {instrument}: {why}"
        for detector, reasons in tally.quarantined.items()
        for instrument, why in reasons.items()
    ]
    return "\n".join(lines)


def _counted(what: str, done: str, counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return f"{total:,} {what}{'' if total == 1 else 's'}{done}" + (f": {_listed(counts)}" if counts else "")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
