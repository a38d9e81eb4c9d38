"""How long the store keeps what is over."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from alerts.durations import duration_s
from streamer.config.byte_sizes import size_bytes


def _kept_for(value: str) -> str:
    if not duration_s("1h") <= duration_s(value) <= duration_s("10000d"):
        raise ValueError(f"'{value}' is not between 1h and 10000d")
    return value


def _kept_size(value: str) -> str:
    if not size_bytes("1MiB") <= size_bytes(value) <= size_bytes("100TiB"):
        raise ValueError(f"'{value}' is not between 1MiB and 100TiB")
    return value


def _with_unit(value: Any) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    such = f"{value}d" if isinstance(value, int) and 0 < value <= _MOST_DAYS else "90d"
    raise ValueError(f"{value} is not a duration: write an integer and m, h or d, such as {such}")


_MOST_DAYS = 10_000

KeptFor = Annotated[str, BeforeValidator(_with_unit), AfterValidator(_kept_for)]


class KeepDeadLetters(BaseModel):
    """How many dead letters are kept: what is older than `for`, or beyond `size`, goes.

    Parameters
    ----------
    for_
        For how long after they were stored; in the file it is `for`.
    size
        How much of them all together; the newest are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_alias=True, validate_by_name=False)

    for_: Annotated[KeptFor, Field(alias="for")] = "14d"
    size: Annotated[str, AfterValidator(_kept_size)] = "1GiB"


class KeepSettings(BaseModel):
    """How long the store keeps what is over; an open episode and what is owed stay, however old.

    Parameters
    ----------
    alerts
        Alerts, from the last transition of their episode on.
    decisions
        Their reasons, which `why` shows; they go with their alert at the latest.
    deliveries
        What became of them at each receiver; it goes with the alert at the latest.
    dead_letters
        Records that could not be used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    alerts: KeptFor = "90d"
    decisions: KeptFor = "90d"
    deliveries: KeptFor = "90d"
    dead_letters: KeepDeadLetters = KeepDeadLetters()
