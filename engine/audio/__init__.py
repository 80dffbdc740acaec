"""Sound in: sources, resampling, the voice gate and the causal features."""
