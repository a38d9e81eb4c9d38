"""From scanned rows to columns of events, as a plan describes them."""
