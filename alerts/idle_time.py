"""Says how long ago work was done, or that there was none to do."""

from __future__ import annotations

from alerts.durations import spoken

_IDLE_S = 15.0


def last_step_text(age_s: float, behind: int | None) -> str:
    """When the last step was finished, for people.

    Parameters
    ----------
    age_s
        Seconds since then.
    behind
        Records that wait to be read; None where that is not known.

    Examples
    --------
    >>> last_step_text(0.31, 0), last_step_text(161.0, 40), last_step_text(161.0, 0)
    ('last step 0.3s ago', 'last step 2.7m ago', 'nothing to do for 2.7m')
    """
    if age_s >= _IDLE_S and behind == 0:
        return f"nothing to do for {spoken(age_s)}"
    return f"last step {spoken(age_s)} ago"
