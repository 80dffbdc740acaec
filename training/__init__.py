"""Data preparation and training; not needed to run a bundle."""
