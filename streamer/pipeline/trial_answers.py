"""What the process that tries models answers, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class GarbledAnswerError(Exception):
    """What was read is no answer: a model may have written where answers are."""


def answer_in(line: bytes) -> dict[str, Any]:
    """The answer in a line.

    Raises
    ------
    GarbledAnswerError
        When it is none.

    Examples
    --------
    >>> answer_in(b'{"detector": "tape", "doing": "build"}')["doing"]
    'build'
    >>> answer_in(b"garbage")
    Traceback (most recent call last):
    streamer.pipeline.trial_answers.GarbledAnswerError
    """
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        raise GarbledAnswerError from None
    if not isinstance(answer, dict) or not _is_answer(answer):
        raise GarbledAnswerError
    return answer


def _is_answer(answer: Mapping[str, Any]) -> bool:
    if answer.keys() == {"done"}:
        return answer["done"] is True
    if not isinstance(answer.get("detector"), str):
        return False
    if answer.keys() == {"detector", "doing"}:
        return answer["doing"] in ("import", "build", "measure")
    if answer.keys() == {"detector", "cost_us"}:
        return answer["cost_us"] is None or type(answer["cost_us"]) in (int, float)
    return (
        answer.keys() == {"detector", "error", "path", "refused", "failing"}
        and all(isinstance(answer[key], str | None) for key in ("error", "refused", "failing"))
        and isinstance(answer["path"], list)
        and all(isinstance(part, str | int) for part in answer["path"])
    )
