"""The configuration that the demonstration runs with."""

DEMO_CONFIG = """\
# The configuration of `tapewatch demo`. Its simulated market comes as a file named `simulated`, in the public
# event schema. Run a changed copy with `tapewatch demo --config FILE`.
source:
  files:
    - {match: simulated, format: tapewatch}

detectors:
  tape:
    model: HalfSpaceTrees
    on: trade
    features: [return_bps_10s, log_notional_10s, trade_rate_10s]
    params: {n_trees: 10, height: 8, window_size: 250, seed: 7}

rules:
  extends: [crypto, market-data-quality, surveillance]
  locked_book: {disabled: true}
  odd_tape:
    when: tape.score > 0.95 and abs(return_bps_10s) > 60bps
    for: 3 of 5
    severity: warning
    text: "{symbol} moved {return_bps_10s:+.1f} bps in 10 s, score {tape.score:.3f}"

receivers:
  console: {console: {}}
"""
