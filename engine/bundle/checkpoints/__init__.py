"""Published checkpoints: read safely, mapped to our names, built into a bundle."""
