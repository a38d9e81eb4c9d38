"""The configuration as a JSON Schema, for completion and checks in editors."""

from __future__ import annotations

from typing import Any

from streamer.config.settings import Settings


def json_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of the configuration file.

    Examples
    --------
    >>> json_schema()["title"]
    'tapewatch configuration'
    """
    schema = Settings.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "tapewatch configuration",
    }
