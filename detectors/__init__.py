"""Columns in, columns out: features and online anomaly detectors. No I/O."""
