"""`python -m streamer` is `tapewatch`."""

from streamer.cli import main

main()
