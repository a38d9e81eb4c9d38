"""Processes that are measured, or that what is measured needs; each prints its result as JSON."""
