"""The JSON Schemas under docs/schemas are those of this code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamer.config.exported_schema import json_schema as configuration_schema
from streamer.decoding.event_schema import json_schema as event_schema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize(
    ("name", "current"), [("event.json", event_schema), ("configuration.json", configuration_schema)]
)
def test_the_exported_schema_is_current(name: str, current: Callable[[], dict[str, Any]]) -> None:
    assert json.loads((SCHEMAS / name).read_text()) == current(), "run `make schemas`"
