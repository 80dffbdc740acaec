"""Synthesised speech with its phones and words, to train on."""
