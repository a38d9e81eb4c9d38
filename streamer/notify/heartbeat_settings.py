"""Settings of heartbeats."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from alerts.durations import NS_PER_SECOND, duration_ns

_LEAST_S, _MOST_S = 10, 86_400


def _every(text: str) -> str:
    if not _LEAST_S * NS_PER_SECOND <= duration_ns(text) <= _MOST_S * NS_PER_SECOND:
        raise ValueError(f"'{text}' is not between 10s and 1d")
    return text


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class HeartbeatSettings(BaseModel):
    """A service message with counts, so that silence means quiet and not dead.

    Parameters
    ----------
    to
        A receiver, or several.
    every
        How often.

    Examples
    --------
    >>> HeartbeatSettings.model_validate({"to": "ops", "every": "1m"}).every_s
    60
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]
    every: Annotated[str, AfterValidator(_every)] = "1m"

    @property
    def every_s(self) -> int:
        """`every` in seconds."""
        return duration_ns(self.every) // NS_PER_SECOND
