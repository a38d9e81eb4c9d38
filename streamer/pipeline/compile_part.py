"""One process of `streamer.pipeline.compiling`: compiles a part of the plan that stdin names.

It writes a byte to stdout for each kernel, and ends when stdin does, as it does when its parent has ended.
"""

from __future__ import annotations

import json
import os
import sys
import threading


def main() -> None:
    """Compile what stdin asks for."""
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    progress = os.dup(1)
    os.dup2(2, 1)  # what models print as they are loaded is no progress

    from streamer.pipeline.compile import compile_document
    from streamer.pipeline.compiling import watching
    from streamer.pipeline.warmup import PARTS

    with watching(lambda: None, lambda: _tell(progress)):
        PARTS[asked["part"]](compile_document(asked["document"]))


def _tell(progress: int) -> None:
    os.write(progress, b".")


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
