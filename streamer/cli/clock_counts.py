"""What was wrong with the clocks of logs, in lines for people."""

from __future__ import annotations

from collections.abc import Mapping


def clock_lines(counts: Mapping[str, int]) -> list[str]:
    """A line for each kind of wrong time that there was.

    Parameters
    ----------
    counts
        `ClockGuard.counts`; empty for a status of an older version.

    Examples
    --------
    >>> clock_lines({"instrument_steps_back": 1, "log_steps_back": 0, "far_off": 2_000})
    ['1 clock of an instrument was wrong and was set back', '2,000 events are dated a year or more off']
    """
    own, log, far = (counts.get(name, 0) for name in ("instrument_steps_back", "log_steps_back", "far_off"))
    lines = []
    if own:
        lines.append(
            f"{own:,} clock{' of an instrument was' if own == 1 else 's of instruments were'} wrong and "
            f"{'was' if own == 1 else 'were'} set back"
        )
    if log:
        lines.append(f"{'once' if log == 1 else f'{log:,} times'} the watermark was wrong and was set back")
    if far:
        lines.append(f"{far:,} event{' is' if far == 1 else 's are'} dated a year or more off")
    return lines
