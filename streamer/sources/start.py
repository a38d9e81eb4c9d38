"""Where reading a topic starts if the store has no offset for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from alerts.suggestions import did_you_mean

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class StartAt(BaseModel):
    """Start at the first record of this time or later.

    Parameters
    ----------
    timestamp
        RFC 3339 with an offset, such as ``2024-08-08T00:00:00Z``.

    Examples
    --------
    >>> StartAt(timestamp="1970-01-01T00:00:01.5Z").milliseconds
    1500
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    timestamp: str

    @field_validator("timestamp")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        _milliseconds(text)
        return text

    @property
    def milliseconds(self) -> int:
        """The time, in ms since 1970 UTC."""
        return _milliseconds(self.timestamp)


def _milliseconds(text: str) -> int:
    problem = f"'{text}' is not a time (write 2024-08-08T00:00:00Z)"
    if _RFC3339.fullmatch(text) is None:
        raise ValueError(problem)
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError(problem) from None
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    if milliseconds < 0:
        raise ValueError(f"'{text}' is before 1970")
    return milliseconds


def _read_start(value: object) -> object:
    if isinstance(value, StartAt) or value in ("earliest", "latest"):
        return value
    if isinstance(value, Mapping):
        unknown = [str(key) for key in value if key != "timestamp"]
        if unknown or not isinstance(value.get("timestamp"), str):
            raise ValueError("write start: {timestamp: 2024-08-08T00:00:00Z}")
        value = value["timestamp"]
    if not isinstance(value, str):
        raise ValueError("write earliest, latest, or a time such as 2024-08-08T00:00:00Z")  # noqa: TRY004
    if not value[:1].isdigit():
        suggestion = did_you_mean(value, ["earliest", "latest"])
        raise ValueError(f"'{value}' is neither earliest nor latest nor a time{suggestion}")
    return StartAt(timestamp=value)


Start = Annotated[Literal["earliest", "latest"] | StartAt, BeforeValidator(_read_start)]
"""Where reading starts if the store has no offset."""
