"""Bundles: configuration, files, and bundles built from published checkpoints."""
