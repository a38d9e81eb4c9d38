"""The part of a configuration that detection depends on, as a document for the store, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from streamer.config.settings import Settings

_VERSION = 1
_HASH_CHARS = 16
"""64 bits: a store holds some hundreds of configurations, so a collision is practically impossible."""
_DOCUMENTATION = {"why", "references", "disabled"}


def detect_document(settings: Settings) -> dict[str, Any]:
    """The detect part of a configuration, as plain JSON values.

    It holds how records are decoded, detectors, rules (with those of the catalogue written out), what is
    watched for drift, and the limits of the engine that decide what is a dead letter. It leaves out where
    records come from, batch sizes, timers (they are journaled), the store, receivers, routes, and the
    documentation of rules. Detectors and rules are lists of (name, settings), as their order is part of the
    plan.
    """
    engine = settings.engine
    document: dict[str, Any] = {
        "version": _VERSION,
        "topics": [
            {
                "match": list(topic.globs),
                "format": topic.format.document(),
                "venue": topic.venue,
                **_where_set("ignore", topic.ignore),
            }
            for topic in settings.source.topics
        ],
        "files": [
            {
                **file.model_dump(mode="json", by_alias=True, exclude={"ignore", "logs"}),
                "format": file.format.document(),
                **_where_set("ignore", file.ignore),
            }
            for file in settings.source.files
        ],
        "detectors": [
            [name, detector.model_dump(mode="json", by_alias=True)]
            for name, detector in settings.detectors.items()
        ],
        "rules": [
            [name, rule.document(exclude=_DOCUMENTATION)] for name, rule in settings.rules.enabled.items()
        ],
        "engine": {
            "max_ahead": engine.max_ahead,
            "max_instruments": engine.max_instruments,
            **({"forget_after": engine.forget_after} if "forget_after" in engine.model_fields_set else {}),
            "flood": engine.flood,
        },
    }
    if settings.drift.watch:  # a store's older documents have no such key
        document["drift"] = settings.drift.model_dump(mode="json")
    return document


def _where_set(key: str, values: Sequence[str]) -> dict[str, list[str]]:
    """A key that older documents do not have: it must not change the hash of those who do not use it."""
    return {key: list(values)} if values else {}


def canonical(document: Mapping[str, Any]) -> str:
    """The canonical text of a document: JSON without spaces, keys sorted.

    Examples
    --------
    >>> canonical({"b": 1, "a": [None]})
    '{"a":[null],"b":1}'
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(document: Mapping[str, Any]) -> str:
    """The hash of a detect document, by which alerts and stores refer to a configuration.

    It is the first 64 bits of SHA-256 of the canonical text, as 16 hexadecimal digits. Two configurations
    with the same detect part have the same hash, however they are written.
    """
    return hashlib.sha256(canonical(document).encode()).hexdigest()[:_HASH_CHARS]


def settings_from_detect(document: Mapping[str, Any]) -> Settings:
    """Settings whose detect part is `document`; everything else has its default.

    Raises
    ------
    ValueError
        When the document is from another version of tapewatch, or damaged.
    """
    if document.get("version") != _VERSION:
        raise ValueError(f"a configuration of version {document.get('version')!r} cannot be read")
    return Settings.model_validate(
        {
            "source": {"topics": document["topics"], "files": document["files"]},
            "detectors": dict(document["detectors"]),
            "rules": dict(document["rules"]),
            "engine": document["engine"],
            "drift": document.get("drift"),
        }
    )
