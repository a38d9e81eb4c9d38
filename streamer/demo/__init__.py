"""The simulated market through the whole service, and what it found of what was planted."""
