"""Class names by where they are defined, so that one name stands for one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path


def defined_twice(folders: Iterable[Path], copies: Iterable[Path] = ()) -> Mapping[str, list[str]]:
    """Names of classes that stand in several places, a leading underscore aside, and where.

    Nested classes count as well. `copies` are files that stand elsewhere word for word, and are left out.
    """
    copied = frozenset(copies)
    places: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if path in copied:
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places[node.name.lstrip("_")].append(f"{path}:{node.lineno}")
    return {name: where for name, where in places.items() if len(where) > 1}
