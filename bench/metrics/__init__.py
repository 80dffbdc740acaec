"""Measures of motion: each a small pure function of arrays, in raw units.

None reads files, draws or prints. What they mean is said where they are; nothing is scaled, though
papers print the Frechet distance and the beat constancy times ten.
"""
