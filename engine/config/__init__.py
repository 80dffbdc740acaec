"""Configuration dataclasses, their JSON form and the published presets."""
