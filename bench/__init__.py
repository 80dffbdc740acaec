"""Benchmarks: latency, parity, quality, and figures."""
