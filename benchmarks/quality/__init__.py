"""How good detection is, measured: what is asked for against what comes."""
