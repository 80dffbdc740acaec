"""Readers of motion data sets, and retargeting to SMPL-X."""
