"""Dead letters of times that are too late in the declared unit, and fit in a finer one."""

from __future__ import annotations

from dataclasses import replace

from alerts.alert import rfc3339
from streamer.decoding.dead_letter_reasons import Reason
from streamer.messages.batch import DeadLetter
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_SECOND

_NEAR_NS = 86_400 * NS_PER_SECOND


def with_fitting_unit(letter: DeadLetter, log_ns: int) -> DeadLetter:
    """The dead letter with reason ``wrong_unit``, if a finer unit puts its time within a day of its record's.

    Parameters
    ----------
    letter
        A dead letter of the decoder.
    log_ns
        The log's time before it, for a record without a timestamp; `NO_TIME` if there is none.

    Examples
    --------
    >>> at = 1_722_510_000 * NS_PER_SECOND
    >>> late = DeadLetter(0, 0, "out_of_bounds", "T: 1 is past 2200 in s", b"", at, finer=(("ms", at + 5),))
    >>> with_fitting_unit(late, 0).reason
    'wrong_unit'
    """
    reference = letter.record_ts if letter.record_ts != NO_TIME else log_ns
    if reference == NO_TIME:
        return letter
    for unit, ns in letter.finer:
        if abs(ns - reference) <= _NEAR_NS:
            by = "the watermark" if letter.record_ts == NO_TIME else "its record's timestamp"
            said = letter.detail.partition(";")[0]
            detail = f"{said}; in {unit} it is {rfc3339(ns)}, within a day of {by}: declare unit {unit}"
            return replace(letter, reason=Reason.WRONG_UNIT.value, detail=detail, finer=())
    return letter
