"""Data preparation and training; nothing here is needed to run a bundle."""
