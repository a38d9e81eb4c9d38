"""What tapewatch costs, measured against what else there is; see docs/performance.md."""
