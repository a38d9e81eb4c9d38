"""Runs the whole service on a simulated market, and compares its alerts with the planted anomalies."""
