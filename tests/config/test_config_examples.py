"""The shipped examples load without a warning, compile, and suit the schema that editors use."""

import json
from pathlib import Path
from typing import Any

import pytest

from streamer.config.exported_schema import json_schema
from streamer.config.load import load
from streamer.config.nodes import Mapping, plain
from streamer.config.secrets import resolve_secrets
from streamer.config.yaml_tree import parse
from streamer.pipeline.compile import compile_plan

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
ENVIRON = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "OPS_WEBHOOK_SECRET": "whsec_b3Bz",
    "SLACK_WEBHOOK_URL": "https://x.example",
}


def test_they_are_there() -> None:
    names = {path.stem for path in EXAMPLES}
    assert {"binance", "sensitive", "generic", "rules-only", "minimal"} <= names


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_loads_without_a_warning(path: Path) -> None:
    config = load(path)
    compile_plan(config)
    assert config.warnings == ()
    assert config.settings.rules.enabled
    resolve_secrets(config, ENVIRON)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_schema_knows_every_key_of_the_example(path: Path) -> None:
    schema = json_schema()
    root = parse(path.read_text(encoding="utf-8"))
    assert isinstance(root, Mapping)
    assert unknown_keys(plain(root), schema, schema) == []


def test_schema_refuses_unknown_keys() -> None:
    schema = json_schema()
    assert unknown_keys({"sorce": {}}, schema, schema) == ["sorce"]
    assert unknown_keys({"engine": {"tick": "1s"}}, schema, schema) == ["engine.tick"]


def test_schema_is_json_and_names_settings_as_files_do() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert "for" in schema["$defs"]["RuleSettings"]["properties"]
    assert schema["additionalProperties"] is False


def unknown_keys(value: Any, schema: Any, root: Any) -> list[str]:
    """Keys that no branch of the schema knows: the least list over the branches."""
    if "$ref" in schema:
        return unknown_keys(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return min((unknown_keys(value, branch, root) for branch in branches), key=len)
    if isinstance(value, list):
        return [key for item in value for key in unknown_keys(item, schema.get("items", {}), root)]
    found: list[str] = []
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, item in value.items() if isinstance(value, dict) else ():
        below = known.get(name, others)
        if below is False:
            found.append(name)
        elif isinstance(below, dict):
            found += [f"{name}.{key}" for key in unknown_keys(item, below, root)]
    return found
