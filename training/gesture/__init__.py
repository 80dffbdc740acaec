"""The gesture model's training: batches, masks, losses and their settings."""
