"""Quantizers: one codebook, residual codebooks, finite scalars."""
