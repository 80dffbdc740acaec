"""One training loop for all stages: checkpoints, progress, several processes and machines."""
