"""Exported graphs and the checkpoints that they are tried on."""
