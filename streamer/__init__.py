"""detect and notify: sources, the pipeline, the store and the command line."""
