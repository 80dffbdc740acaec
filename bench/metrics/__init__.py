"""Measures of motion: pure functions of arrays, in raw units.

Papers print the Frechet distance and the beat constancy times ten; nothing is scaled here.
"""
