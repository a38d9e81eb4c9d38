"""The website's pages from outside docs/: the README as its home, and what such pages link to."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "SECURITY.md",
}
"""Pages of the repository's root by where they stand on the website."""

_TARGET = re.compile(r"(\]\(|src=\")(?!https?://|#)([^)\s\"]+)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages, and each file outside docs/ that they link to."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        for _, target in _TARGET.findall(text):
            path = target.partition("#")[0]
            if path not in PAGES and not path.startswith("docs/") and (ROOT / path).is_file():
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
        files.append(File.generated(config, name, content=_TARGET.sub(_moved, text)))
    return files


def _moved(link: re.Match[str]) -> str:
    path, hash_, anchor = link[2].partition("#")
    return f"{link[1]}{PAGES.get(path, path.removeprefix('docs/'))}{hash_}{anchor}"
