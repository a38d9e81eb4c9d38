"""What is known of records besides their bytes: where they come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DecodeContext:
    """What the records' surroundings add to them.

    Parameters
    ----------
    topic
        The name of the topic, or of the file without its folders.
    venue
        The venue of events that name none.
    source
        Which of the task's topics it is; it goes into `Batch.source`.
    """

    topic: str
    venue: str | None = None
    source: int = 0
