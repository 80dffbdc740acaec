"""The motion autoencoders: one part VQ-VAE each, and the root motion predictor."""
