"""What happened on a market, as records carry it and as columns hold it."""
