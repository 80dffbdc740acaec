"""The published EMAGE checkpoints, read as they lie on disk. Knows layouts, no arithmetic."""

from engine.official.loading import load_model as load_model
