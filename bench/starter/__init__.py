"""Evaluation of a starter bundle, live on held-out voices."""
