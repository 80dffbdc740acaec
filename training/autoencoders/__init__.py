"""The part VQ-VAEs and the global motion: their losses, codebooks, and what they cost."""
