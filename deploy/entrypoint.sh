#!/bin/sh
# Puts the kernels that came with the image where they may be added to, then becomes tapewatch.
set -e
if [ ! -d "$NUMBA_CACHE_DIR" ]; then
  mkdir -p "$NUMBA_CACHE_DIR" && cp -R "${TAPEWATCH_KERNELS:-/opt/kernels}/." "$NUMBA_CACHE_DIR/"
fi
exec "${TAPEWATCH_BIN:-/opt/tapewatch/bin/tapewatch}" "$@"
