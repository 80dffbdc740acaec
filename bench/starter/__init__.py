"""Evaluation of a starter bundle, live on held-out voices."""

Numbers = dict[str, float]
"""Values by name; the name has the unit."""
