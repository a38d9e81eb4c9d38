"""The reasons for refusing an event: a small fixed set of names that can be counted."""

from __future__ import annotations

from enum import StrEnum

from streamer.messages.batch import DAMAGED_RANGE


class Reason(StrEnum):
    """A reason for a dead letter, with a one-line `explanation`.

    >>> Reason.BAD_JSON.value, Reason("no_time").explanation
    ('bad_json', 'neither the event nor its record has a time')
    """

    explanation: str

    def __new__(cls, value: str, explanation: str) -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member

    NULL_VALUE = "null_value", "the record's value is null (a tombstone)"
    TOO_LARGE = "too_large", "the record is larger than 1 MiB"
    TOO_MANY_EVENTS = "too_many_events", "the record holds more than 10,000 events"
    BAD_UTF8 = "bad_utf8", "the record is not UTF-8 text"
    BAD_JSON = "bad_json", "the record is not one JSON document"
    TOO_DEEP = "too_deep", "the JSON is nested too deeply to be read"
    NOT_AN_OBJECT = "not_an_object", "the event is JSON, but not an object with fields"
    UNKNOWN_KIND = "unknown_kind", "the event is of a kind that the format does not know"
    MISSING_FIELD = "missing_field", "a field that this kind of event must have is absent or null"
    WRONG_TYPE = "wrong_type", "a field holds another type than it must, such as a text in place of a number"
    NOT_FINITE = "not_finite", "a number is NaN, infinite or beyond what a double can hold"
    OUT_OF_BOUNDS = "out_of_bounds", "a number, a time or a text's length is outside the schema's bounds"
    UNKNOWN_VALUE = "unknown_value", "a field holds a word that is none of those it can hold"
    NO_TIME = "no_time", "neither the event nor its record has a time"
    WRONG_UNIT = "wrong_unit", "the event's time is in another unit than the one that is declared"
    NO_SYMBOL = "no_symbol", "the event names no instrument"
    NO_VENUE = "no_venue", "neither the event nor the configuration of its topic names a venue"
    DECODER_ERROR = "decoder_error", "the decoder failed on the record, which is a bug of tapewatch to report"
    TS_AHEAD = "ts_ahead", "the event's time is further ahead than max_ahead allows"
    DAMAGED_RANGE = DAMAGED_RANGE, "the log holds these offsets, but they are damaged and cannot be read"
    TOO_MANY_INSTRUMENTS = "too_many_instruments", "the task already follows max_instruments instruments"
