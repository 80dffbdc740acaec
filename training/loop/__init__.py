"""The training loop, its checkpoints and launchers."""
