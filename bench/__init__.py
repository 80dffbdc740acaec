"""Measurements: latency, parity, quality, and figures to look at."""
