"""Features and online anomaly detectors: columns in, columns out, no I/O."""
