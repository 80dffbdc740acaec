"""Corpora on disk, and what is drawn from them: takes, clips, features, windows, statistics."""
