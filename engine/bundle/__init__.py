"""Bundles: their files, and what is built from published checkpoints."""
