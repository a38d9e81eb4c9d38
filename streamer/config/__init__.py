"""The configuration: YAML with positions, models, secrets, errors.

`load` reads a file; `resolve_secrets` fetches the secrets that it refers to. Each name loads what it needs
when it is first used: whoever only asks where the daemon serves does not wait for detectors and rules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamer.config.errors import ConfigError, Problem
    from streamer.config.exported_schema import json_schema
    from streamer.config.file import ConfigFile
    from streamer.config.hashing import detect_document, hash_of, settings_from_detect
    from streamer.config.load import load, load_text
    from streamer.config.secrets import Secrets, resolve_secrets
    from streamer.config.settings import Settings

_FROM = {
    "ConfigError": "streamer.config.errors",
    "Problem": "streamer.config.errors",
    "json_schema": "streamer.config.exported_schema",
    "ConfigFile": "streamer.config.file",
    "detect_document": "streamer.config.hashing",
    "hash_of": "streamer.config.hashing",
    "settings_from_detect": "streamer.config.hashing",
    "load": "streamer.config.load",
    "load_text": "streamer.config.load",
    "Secrets": "streamer.config.secrets",
    "resolve_secrets": "streamer.config.secrets",
    "Settings": "streamer.config.settings",
}

__all__ = [
    "ConfigError",
    "ConfigFile",
    "Problem",
    "Secrets",
    "Settings",
    "detect_document",
    "hash_of",
    "json_schema",
    "load",
    "load_text",
    "resolve_secrets",
    "settings_from_detect",
]


def __getattr__(name: str) -> Any:
    """What is imported by this name."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM[name]), name)
