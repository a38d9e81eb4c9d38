"""Records that a topic or file may hold without being events: `ignore`, beside its `format`."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator

from alerts.suggestions import did_you_mean

RecordKind = Literal["tombstone"]
"""``tombstone``: a record without a value, with which a compacted topic deletes a key."""

_KNOWN: tuple[str, ...] = get_args(RecordKind)


def _known(given: object) -> object:
    if not isinstance(given, list | tuple):
        msg = f"write a list: ignore: [{', '.join(_KNOWN)}]"
        raise ValueError(msg)  # noqa: TRY004 (pydantic collects ValueErrors)
    for kind in given:
        if kind not in _KNOWN:
            hint = did_you_mean(kind, _KNOWN) if isinstance(kind, str) else ""
            msg = f"{kind!r} cannot be ignored, only {', '.join(_KNOWN)}{hint}"
            raise ValueError(msg)
        if given.count(kind) > 1:
            msg = f"{kind!r} is there twice"
            raise ValueError(msg)
    return given


IgnoredRecords = Annotated[tuple[RecordKind, ...], BeforeValidator(_known)]
"""Which records are only counted, by these names; without any, each is a dead letter."""
