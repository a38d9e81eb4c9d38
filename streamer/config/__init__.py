"""The configuration: YAML with positions, models, secrets, errors.

`load` reads a file; `resolve_secrets` fetches the secrets that it refers to.
"""

from streamer.config.errors import ConfigError, Problem
from streamer.config.exported_schema import json_schema
from streamer.config.file import ConfigFile
from streamer.config.hashing import detect_document, hash_of, settings_from_detect
from streamer.config.load import load, load_text
from streamer.config.secrets import Secrets, resolve_secrets
from streamer.config.settings import Settings

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
